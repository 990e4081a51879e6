"""Push, pull and many at once, on a fake registry; the real one is in test_push_pull_transfers.py."""

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Generator
from typing import Any

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import EngineError, RegistryError, UsageError
from mlperf_docker.images import push_pull
from mlperf_docker.images.lookup import candidates
from mlperf_docker.images.prebuilt import RegistryState, check_digest
from mlperf_docker.images.push_pull import TransferredCell
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.registry.remote import Remote
from tests.fakes.engine import FakeDisplay, FakeEngine, labels, manifest_digest

HOSTED = "registry.test/team"
BARE = "mlperf-docker"


def engine_with(*specs: ImageSpec, registry: str = HOSTED) -> FakeEngine:
    """Return an engine that has the images of *specs*, with their labels."""
    engine = FakeEngine()
    for spec in specs:
        exact = tag(spec, registry)
        engine.present |= FakeEngine(exact).present
        engine.present[exact]["Config"]["Labels"] = labels(exact)
    return engine


def tag(spec: ImageSpec, registry: str = HOSTED) -> str:
    return candidates(FakeEngine(), recipe_of(spec).identity, Sources(registry))[0].exact


def push(engine: FakeEngine, *specs: ImageSpec, jobs: int = 1) -> list[TransferredCell]:
    return push_pull.push_each(engine, list(map(recipe_of, specs)), Sources(HOSTED), BARE, FakeDisplay(), jobs=jobs)


def pull(engine: FakeEngine, *specs: ImageSpec, jobs: int = 1) -> list[TransferredCell]:
    return push_pull.pull_each(engine, list(map(recipe_of, specs)), Sources(HOSTED), FakeDisplay(), jobs=jobs)


@pytest.fixture
def specs(catalog: Catalog) -> list[ImageSpec]:
    return [spec for spec in catalog.specs if spec.device == "cpu"]


@pytest.mark.parametrize("registry", [HOSTED, BARE])
def test_the_exact_tag_goes_first(resnet50: ImageSpec, registry: str) -> None:
    engine, exact = engine_with(resnet50, registry=registry), tag(resnet50)
    (done,) = push(engine, resnet50)
    assert engine.pushes == [exact, f"{HOSTED}/resnet50:onnxruntime-cpu"]
    assert done.fields() == {
        "cell": "resnet50:onnxruntime-cpu",
        "state": "pushed",
        "image": exact,
        "moving": f"{HOSTED}/resnet50:onnxruntime-cpu",
        "digest": manifest_digest(engine.present[exact]["Id"]),
        "id": engine.present[exact]["Id"],
        "bytes": None,
        "seconds": done.fields()["seconds"],
        "error": None,
    }


def test_the_moving_tag_is_not_pushed_where_the_exact_one_was_refused(resnet50: ImageSpec) -> None:
    engine = engine_with(resnet50)
    engine.refusal = "denied"
    (done,) = push(engine, resnet50)
    assert isinstance(done.error, RegistryError)
    assert engine.pushes == [tag(resnet50)]
    assert (done.fields()["state"], done.fields()["digest"]) == ("failed", None)
    assert "denied" in done.fields()["error"]


@pytest.mark.parametrize("moved", [False, True], ids=["new", "moved from another image"])
def test_a_push_that_fails_leaves_the_tags_as_they_were(resnet50: ImageSpec, moved: bool) -> None:
    engine, moving = engine_with(resnet50, registry=BARE), f"{HOSTED}/resnet50:onnxruntime-cpu"
    if moved:
        other = FakeEngine(moving).present[moving]
        engine.present |= {moving: other, other["Id"]: other}
    before = {name: list(image["RepoTags"]) for name, image in engine.present.items()}
    engine.refusal = "denied"
    (done,) = push(engine, resnet50)
    assert done.fields()["state"] == "failed"
    assert {name: image["RepoTags"] for name, image in engine.present.items()} == before
    engine.refusal = "manifest unknown"
    (done,) = push(engine, resnet50)
    assert done.fields()["state"] == "pushed"
    assert engine.present[moving]["Id"] == engine.present[tag(resnet50)]["Id"]


def test_outcomes_have_the_cells_order_however_many_run_at_once(specs: list[ImageSpec]) -> None:
    engine = engine_with(*specs)
    pushed = push(engine, *specs, jobs=4)
    assert [each.cell for each in pushed] == list(map(str, specs))
    assert all(each.moved for each in pushed)
    offered = tuple(tag(spec) for spec in specs)
    pulled = pull(FakeEngine(offered=offered), *specs, jobs=4)
    assert [each.moved.candidate.exact for each in pulled if each.moved] == list(offered)
    assert {each.moved.state for each in pulled if each.moved} == {RegistryState.PULLED}


def test_images_of_one_backend_are_pushed_one_after_another(specs: list[ImageSpec]) -> None:
    at_once: set[str] = set()
    seen: list[bool] = []
    lock = threading.Lock()

    class Watched(FakeEngine):
        def push_image(self, name: str, tag: str) -> Generator[dict[str, Any]]:
            variant = "-".join(tag.split("-")[:2])
            with lock:
                seen.append(variant in at_once)
                at_once.add(variant)
            time.sleep(0.01)  # long enough for another to come
            yield from super().push_image(name, tag)
            with lock:
                at_once.remove(variant)

    engine = Watched()
    engine.present = engine_with(*specs).present
    push_pull.require_all(push(engine, *specs, jobs=8), "pushed")
    assert len(seen) == 2 * len(specs)
    assert not any(seen)


def test_an_image_for_another_architecture_is_refused_before_the_pull(resnet50: ImageSpec) -> None:
    exact = tag(resnet50)
    engine = FakeEngine(offered=(exact,))
    engine.offered[exact] = dataclasses.replace(engine.offered[exact], platforms=("linux/arm64", "linux/s390x"))
    (done,) = pull(engine, resnet50)
    assert str(done.error) == f"{exact} is for linux/arm64, linux/s390x, and this engine is linux/amd64."
    assert engine.pulls == []


def test_an_image_that_contradicts_its_tag_is_refused(resnet50: ImageSpec) -> None:
    exact = tag(resnet50)
    engine = FakeEngine(offered=(exact,))
    engine.offered[exact] = Remote(f"{HOSTED}/resnet50", manifest_digest(exact), ("linux/amd64",))
    (done,) = pull(engine, resnet50)
    assert "is not what its tag says: its label org.mlperf-docker.cell is None" in str(done.error)
    assert engine.pulls == []


def test_a_bug_is_no_outcome(resnet50: ImageSpec) -> None:
    class Broken(FakeEngine):
        def find_image(self, reference: str) -> dict[str, Any] | None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pull(Broken(), resnet50)


def test_the_first_failure_tells_the_exit_code(specs: list[ImageSpec]) -> None:
    failed = [
        TransferredCell(str(specs[0]), 0.1, error=EngineError("gone\nfor good", hint="start it")),
        TransferredCell(str(specs[1]), 0.1, error=RegistryError("down")),
    ]
    with pytest.raises(push_pull.SeveralFailedError) as caught:
        push_pull.require_all(failed, "pulled")
    assert caught.value.exit_code is ExitCode.ENGINE
    assert str(caught.value) == f"2 of 2 images were not pulled:\n  {specs[0]}: gone\n  {specs[1]}: down"
    assert caught.value.hint == "start it"
    with pytest.raises(RegistryError, match=r"^down$"):
        push_pull.require_all(failed[1:], "pulled")


def test_an_interruption_ends_all_of_them(specs: list[ImageSpec]) -> None:
    begun = threading.Barrier(3)
    ended: list[str] = []

    class Slow(FakeEngine):
        def push_image(self, name: str, tag: str) -> Generator[dict[str, Any]]:
            begun.wait(10)
            try:
                while True:
                    yield {"id": "layer", "status": "Pushing"}
            finally:
                ended.append(name)

    engine = Slow()
    engine.present = engine_with(*specs).present

    def interrupt() -> None:
        begun.wait(10)
        os.kill(os.getpid(), signal.SIGINT)  # a real one: it must also wake a thread that waits

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        push(engine, *specs, jobs=2)
    assert len(ended) == 2


def test_a_digest_is_of_one_image(specs: list[ImageSpec]) -> None:
    check_digest(f"sha256:{'0' * 64}", specs[:1])
    for digest, count in (("latest", 1), (f"sha256:{'0' * 63}", 1), (f"sha256:{'0' * 64}", 2)):
        with pytest.raises(UsageError, match="--digest"):
            check_digest(digest, specs[:count])
