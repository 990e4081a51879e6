"""Removal by `prune`, and what it never touches: on a daemon of its own, as it looks at a whole engine."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.engine.client import DockerEngine, connect
from mlperf_docker.engine.container import OWNER_LABEL
from mlperf_docker.images.building.builder import BuildRequest
from mlperf_docker.images.building.buildkit import BuildKitBuilder
from mlperf_docker.maintenance import build_cache
from mlperf_docker.maintenance import prune as module
from mlperf_docker.maintenance.prune import IsCurrent, ItemKind, Pruned
from mlperf_docker.names import LABEL
from mlperf_docker.recipe.build_inputs import BuildInputs
from mlperf_docker.recipe.host_settings import HostSettings
from mlperf_docker.system import owner
from tests.fakes.engine import FakeDisplay
from tests.fixtures import tiny_image
from tests.fixtures.docker_client import api
from tests.fixtures.second_engine import second_engine

pytestmark = pytest.mark.engine
ENTRY_POINT = 'ENTRYPOINT ["/opt/venv/bin/python", "-m", "mlperf_docker.harness"]'
BASE = "mlperf-docker/base:bookworm"
CONTAINER = {LABEL: "container"}
OLD, NEW = "0123456789ab", "ba9876543210"
NOBODY = f"{owner.current().partition(':')[0]}:999999999:1"


class Populated:
    """An engine with objects of ours and of others, each by a name that a test can look for."""

    def __init__(self, client: DockerEngine) -> None:
        self.client = client
        api(client).import_image_from_data(tiny_image.archive(), repository="tiny", tag="1")
        api(client).import_image_from_data(
            tiny_image.archive(), repository="mlperf-docker/base", tag="bookworm", changes=[f"LABEL {LABEL}=base"]
        )

    def build(self, *tags: str, base: str = BASE, steps: str = "", labels: dict[str, str] | None = None) -> str:
        inputs = BuildInputs(f"ARG BASE\nFROM ${{BASE}}\n{steps}\n", ())
        request = BuildRequest(inputs, base, tags, labels or {}, HostSettings())
        return BuildKitBuilder(self.client).build(request, on_event=lambda _: None)

    def cell(self, content: str, *more: str, size: int = 3_000_000) -> str:
        """An image of ours: bert with the hash *content*, which no other layer is like."""
        step = _fill(content, size)
        labels = {
            LABEL: "image",
            **{f"{LABEL}.{key}": value for key, value in facts(content).items()},
            f"{LABEL}.base.identity": self.id(BASE),
        }
        return self.build(
            f"r.test/bert:onnxruntime-cpu-{content}", *more, steps=f"{step}\n{ENTRY_POINT}", labels=labels
        )

    def run(self, image: str, name: str, labels: dict[str, str], *, start: bool = True, seconds: int = 0) -> str:
        config = api(self.client).create_host_config(network_mode="none")
        made = api(self.client).create_container(
            image, entrypoint=["/bin/sleep"], command=[str(seconds)], name=name, labels=labels, host_config=config
        )
        if start:
            api(self.client).start(made)
            if not seconds:
                api(self.client).wait(made)
        return str(made["Id"])

    def id(self, image: str) -> str:
        found = self.client.find_image(image)
        assert found is not None
        return str(found["Id"])

    @property
    def tags(self) -> set[str]:
        return {tag for image in api(self.client).images() for tag in image["RepoTags"] or ()}

    @property
    def containers(self) -> set[str]:
        return {name.lstrip("/") for each in api(self.client).containers(all=True) for name in each["Names"]}

    @property
    def state(self) -> Any:
        cache = sorted(each.id for each in build_cache.records(api(self.client).df()))
        volumes = sorted(each["Name"] for each in api(self.client).volumes()["Volumes"] or ())
        networks = sorted(each["Name"] for each in api(self.client).networks())
        return sorted(self.tags), sorted(self.containers), volumes, networks, cache


def facts(content: str) -> dict[str, str]:
    return {"cell": "bert:onnxruntime-cpu", "model": "bert", "backend": "onnxruntime", "device": "cpu", "hash": content}


def _fill(content: str, size: int) -> str:
    """A step of ours that writes *size* bytes; the tiny image has little to write with."""
    doubled = "a=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do a=$a$a; done"
    times = " ".join(str(number) for number in range(max(size >> 20, 1)))
    return f"RUN : python -m mlperf_docker.harness; {doubled}; for i in {times}; do echo {content}$a; done > /{content}"


@pytest.fixture
def there(engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Populated]:
    """*engine* only says that daemons can run here."""
    with second_engine(disk="256m") as daemon:
        monkeypatch.setenv("DOCKER_HOST", daemon.socket)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        yield Populated(connect())


def prune(there: Populated, *, dry_run: bool = False, keep_latest: IsCurrent | None = None) -> Pruned:
    return module.prune(there.client, dry_run=dry_run, keep_latest=keep_latest, display=FakeDisplay())


def names(done: Pruned, kind: ItemKind) -> set[str]:
    return {each.name for each in done.removed if each.kind is kind}


def reasons(done: Pruned) -> dict[str, str]:
    return {each.name: each.reason for each in done.kept}


def test_everything_of_ours_goes_and_every_decoy_stays(there: Populated) -> None:
    client = there.client
    there.cell(OLD)
    there.cell(NEW, "r.test/bert:onnxruntime-cpu")
    there.build("my/derived:1", base=f"r.test/bert:onnxruntime-cpu-{NEW}", steps="RUN echo mine > /mine")
    there.build("my/own:1", base="tiny:1", steps="RUN echo own > /own")
    api(client).commit(
        there.run(f"r.test/bert:onnxruntime-cpu-{OLD}", "own-commit", {}), repository="my/commit", tag="1"
    )
    client.remove_container("own-commit")
    there.run("tiny:1", "own-ended", {})
    there.run("tiny:1", "ours-ended", CONTAINER)
    there.run("tiny:1", "ours-abandoned", {**CONTAINER, OWNER_LABEL: NOBODY}, start=False)
    there.run("tiny:1", "ours-starting", {**CONTAINER, OWNER_LABEL: owner.current()}, start=False)
    there.run("tiny:1", "ours-running", {**CONTAINER, OWNER_LABEL: owner.current()}, seconds=600)
    api(client).create_volume("own-volume")
    api(client).create_volume("ours-volume", labels={LABEL: "volume"})
    api(client).create_network("own-network", internal=True)
    api(client).create_network("ours-network", internal=True, labels={LABEL: "network"})
    before, used = there.state, module.used_bytes(api(client).df())

    planned = prune(there, dry_run=True)
    assert there.state == before, "a dry run changes nothing"
    done = prune(there)
    assert [each for each in planned.removed if each.kind is not ItemKind.CACHE] == [
        each for each in done.removed if each.kind is not ItemKind.CACHE
    ]
    assert names(done, ItemKind.CONTAINER) == {"ours-ended", "ours-abandoned"}
    assert there.containers == {"own-ended", "ours-starting", "ours-running"}
    assert reasons(done)["ours-running"] == "it is running"
    assert names(done, ItemKind.IMAGE) == {
        f"r.test/bert:onnxruntime-cpu-{OLD}", f"r.test/bert:onnxruntime-cpu-{NEW}", "r.test/bert:onnxruntime-cpu", BASE
    }  # fmt: skip
    assert there.tags == {"tiny:1", "my/derived:1", "my/own:1", "my/commit:1"}
    assert reasons(done)["my/derived:1"] == reasons(done)["my/commit:1"] == "made by somebody from an image of ours"
    assert names(done, ItemKind.VOLUME) == {"ours-volume"}
    assert [each["Name"] for each in api(client).volumes()["Volumes"]] == ["own-volume"]
    assert names(done, ItemKind.NETWORK) == {"ours-network"}
    assert {each["Name"] for each in api(client).networks()} >= {"own-network", "bridge", "host", "none"}
    left = build_cache.records(api(client).df())
    assert any("echo own" in each.description for each in left)
    assert [each for each in left if each.is_our_step and not each.shared] == []
    assert done.freed_bytes == used - module.used_bytes(api(client).df())
    assert done.freed_bytes >= planned.freed_bytes
    assert done.foreign_cache_bytes == sum(
        each.size_bytes for each in left if not each.shared and each not in build_cache.ours(left)
    )
    assert prune(there).removed == []


def test_the_order_in_which_an_engine_lists_makes_no_difference(
    there: Populated, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (OLD, NEW, "aaaaaaaaaaaa"):
        there.cell(content, f"s.test/bert:onnxruntime-cpu-{content}")
        there.run("tiny:1", f"ours-{content}", CONTAINER)
        there.run("tiny:1", f"busy-{content}", {**CONTAINER, OWNER_LABEL: owner.current()}, start=False)
        api(there.client).create_volume(f"ours-{content}", labels={LABEL: "volume"})
    first = prune(there, dry_run=True)
    for name in ("images", "containers", "networks"):
        listed = getattr(there.client, name)
        monkeypatch.setattr(there.client, name, lambda *given, _l=listed, **named: _l(*given, **named)[::-1])
    assert prune(there, dry_run=True) == first
    assert [each.name for each in first.removed if each.kind is ItemKind.IMAGE][-1] == BASE


def test_layers_that_nobody_needs_are_freed(there: Populated) -> None:
    there.cell(OLD, size=20 << 20)
    planned, done = prune(there, dry_run=True), prune(there)
    assert 20 << 20 <= planned.freed_bytes <= done.freed_bytes < 40 << 20


def test_an_image_in_use_stays_whoever_uses_it(there: Populated) -> None:
    there.cell(OLD)
    there.run(f"r.test/bert:onnxruntime-cpu-{OLD}", "own-ended", {})
    done = prune(there)
    assert f"r.test/bert:onnxruntime-cpu-{OLD}" in there.tags
    assert reasons(done)[f"r.test/bert:onnxruntime-cpu-{OLD}"] == "a container uses it"
    assert there.containers == {"own-ended"}


def test_a_name_that_somebody_gave_our_image_stays(there: Populated) -> None:
    image = there.cell(OLD, "r.test/bert:onnxruntime-cpu")
    api(there.client).tag(image, "my/bert", "1")
    api(there.client).tag(image, "my/bert", f"onnxruntime-cpu-{OLD}-mine")
    done = prune(there)
    assert there.tags == {"tiny:1", "my/bert:1", f"my/bert:onnxruntime-cpu-{OLD}-mine"}
    assert "did not give it this name" in reasons(done)["my/bert:1"]
    assert prune(there).removed == []


def test_an_image_without_a_name_goes_by_its_id(there: Populated) -> None:
    image = there.cell(OLD, size=1 << 20)
    api(there.client).tag("tiny:1", "r.test/bert", f"onnxruntime-cpu-{OLD}", force=True)
    assert there.client.find_image(image) is not None
    done = prune(there)
    assert image in names(done, ItemKind.IMAGE)
    assert there.client.find_image(image) is None
    assert f"r.test/bert:onnxruntime-cpu-{OLD}" in there.tags, "an image without our label, whatever its name"


@pytest.mark.parametrize(("current", "kept"), [(OLD, OLD), (None, NEW)], ids=["today's", "newest"])
def test_the_latest_of_each_cell_and_its_base_stay_when_asked(there: Populated, current: str | None, kept: str) -> None:
    there.cell(OLD)
    there.cell(NEW, "r.test/bert:onnxruntime-cpu")
    done = prune(there, keep_latest=lambda labels: labels[f"{LABEL}.hash"] == current)
    names_of_new = {f"r.test/bert:onnxruntime-cpu-{NEW}", "r.test/bert:onnxruntime-cpu"}
    of_kept = names_of_new if kept == NEW else {f"r.test/bert:onnxruntime-cpu-{OLD}"}
    assert there.tags == {"tiny:1", BASE, *of_kept}
    assert reasons(done)[BASE].startswith("the base of r.test/bert")
    assert prune(there, keep_latest=lambda _: False).removed == []


def test_only_old_logs_of_ours_go(there: Populated, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "mlperf-docker" / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    old = "build-20260101T000000.000-bert-onnxruntime-cpu-0123456789ab.log"
    new = old.replace("0101", "0102")
    own = ("dockerd.log", "build-mine.log", "notes.txt")
    for name in (old, new, *own):
        (folder / name).write_text("words")
    for name in (old, *own):
        os.utime(folder / name, (time.time() - 2 * 86400,) * 2)
    (folder / old.replace("0101", "0103")).symlink_to(folder / "notes.txt")
    done = prune(there)
    assert names(done, ItemKind.LOG) == {str(folder / old)}
    assert {path.name for path in folder.iterdir()} == {new, *own, old.replace("0101", "0103")}
