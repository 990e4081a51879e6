"""Lines that pins are written to, and what a pinned image means to a plan; the registry's part is in tests/images."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from mlperf_docker.campaigns import pinning
from mlperf_docker.campaigns.campaign import Campaign, load
from mlperf_docker.campaigns.plan import State
from mlperf_docker.errors import UsageError
from mlperf_docker.images import offers
from mlperf_docker.images.sources import PinnedImage, Sources
from mlperf_docker.results.values import ImageUsed
from tests.campaigns.files import HEAD, campaign, problems
from tests.campaigns.finishing import finish, named, plans
from tests.fakes.engine import FakeDisplay

OLD, NEW = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"
REGISTRY = "registry.test:5000/team"


@pytest.fixture(autouse=True)
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell has the digest NEW in the registry."""

    def offer(recipe: object, sources: Sources, *_: object) -> SimpleNamespace:
        model = str(recipe).partition(":")[0]
        return SimpleNamespace(remote=SimpleNamespace(pinned=f"{sources.registry}/{model}@{NEW}"))

    monkeypatch.setattr(offers, "offer", offer)


def pinned(found: Campaign) -> str:
    pinning.pin(found, Sources(REGISTRY), FakeDisplay())
    return found.path.read_text()


def test_pins_are_lines_beside_the_models_and_everything_else_stays(tmp_path: Path) -> None:
    found = campaign(
        tmp_path,
        f"""
        # The first.
        - model: resnet50  # of ours
          options: {{synthetic: tiny}}
        - backend: onnxruntime
          model: bert
          image: {REGISTRY}/bert@{OLD}  # of last week
          options: {{synthetic: tiny}}
        """,
    )
    before = found.path.read_text()
    after = pinned(found)
    assert after == before.replace("of ours\n", f"of ours\n    image: {REGISTRY}/resnet50@{NEW}\n").replace(
        f"{OLD}  # of last week", NEW
    )
    again = load(found.path)
    assert [cell.image for cell in again.cells] == [PinnedImage(REGISTRY, NEW)] * 2
    assert pinned(again) == after


@pytest.mark.parametrize(
    "cells",
    [
        "- {model: resnet50, options: {synthetic: tiny}}",
        f"- {{model: resnet50, image: {REGISTRY}/resnet50@{OLD}, options: {{synthetic: tiny}}}}",
    ],
)
def test_a_cell_without_lines_is_left_to_its_author(tmp_path: Path, cells: str) -> None:
    found = campaign(tmp_path, cells)
    before = found.path.read_text()
    with pytest.raises(UsageError, match=r"campaign.yaml:6: the cell's image has no line") as caught:
        pinned(found)
    assert caught.value.hint == f"Write image: {REGISTRY}/resnet50@{NEW}"
    assert found.path.read_text() == before


def test_runs_of_a_pinned_cell_take_that_image_only(tmp_path: Path) -> None:
    text = f"- model: resnet50\n  image: {REGISTRY}/resnet50@{OLD}\n  options: {{synthetic: tiny}}\n- model: bert\n"
    found = campaign(tmp_path, text + "  options: {synthetic: tiny}")
    sources = {str(run.request.spec.model.name): run.request.sources for run in plans(found, Sources("bare")).wanted}
    assert (sources["resnet50"].registry, sources["resnet50"].digest) == (REGISTRY, OLD)
    assert (sources["bert"].registry, sources["bert"].digest) == ("bare", None)


@pytest.mark.parametrize(
    "image",
    [
        f"{REGISTRY}/bert@{OLD}",
        f"{REGISTRY}/resnet50:latest",
        f"{REGISTRY}/resnet50",
        f"team/resnet50@{OLD}",
        f"https://{REGISTRY}/resnet50@{OLD}",
        f"{REGISTRY}/resnet50@sha256:12",
    ],
)
def test_an_image_that_is_not_pinned_or_another_models_is_a_problem(tmp_path: Path, image: str) -> None:
    (found,) = problems(tmp_path, f"- model: resnet50\n  image: {image}\n  options: {{synthetic: tiny}}")
    assert found[0] == 7
    assert found[1].startswith("cells[0].image: ")


def test_a_bundle_and_a_pin_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    cells = f"- model: resnet50\n  image: {REGISTRY}/resnet50@{OLD}\n  options: {{synthetic: tiny}}"
    ((line, message),) = problems(tmp_path, cells, f"{HEAD}bundle: bundle\n")
    assert (line, message) == (8, "cells[0].image: images come from the `bundle` of this file: leave out one of them")
    found = campaign(tmp_path, "- model: resnet50\n  options: {synthetic: tiny}", f"{HEAD}bundle: bundle\n")
    with pytest.raises(UsageError, match="come from the bundle"):
        pinned(found)


def test_a_result_of_another_digest_is_stale(tmp_path: Path) -> None:
    cells = f"- model: resnet50\n  scenarios: [Offline]\n  image: {REGISTRY}/resnet50@{NEW}\n"
    maker = plans(campaign(tmp_path, f"{cells}  options: {{synthetic: tiny}}", HEAD.replace("closed", "open")))
    result = finish(named(maker.plan(), "performance"), maker)
    run = named(maker.plan(), "performance")
    assert (run.state, run.why) == (State.STALE, ("the image is 111111111111 now, and was none in the registry",))
    used = ImageUsed(tag=f"{REGISTRY}/resnet50:x", id=OLD, base="base:1 (local)", digest=NEW)
    (Path(result.results_dir) / "result.json").write_text(result.model_copy(update={"image": used}).to_json())
    assert named(maker.plan(), "performance").finished
