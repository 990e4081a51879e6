"""Records of the build cache that are ours: those of our steps, and what stands on them."""

from typing import Any

from mlperf_docker.maintenance import build_cache
from mlperf_docker.maintenance.build_cache import CacheRecord

EARLIER = (
    "mount / from exec /bin/sh -c touch /tmp/before"
    " && PYTHONPATH=/run/pip PIP_CONFIG_FILE=/run/host/pip.conf /opt/venv/bin/python -m pip install --quiet"
)
TODAY = "mount / from exec /bin/sh -c /run/mlperf/install layer common"


def record(name: str, description: str, *parents: str, **state: bool) -> dict[str, Any]:
    """A record as the engine describes it."""
    about = {"InUse": False, "Shared": False, **{key.capitalize(): value for key, value in state.items()}}
    return {"ID": name, "Parents": list(parents), "Description": description, "Size": 1, **about}


def read(*found: dict[str, Any]) -> list[CacheRecord]:
    return build_cache.records({"BuildCache": list(found)})


def ids(found: list[CacheRecord]) -> set[str]:
    return {each.id for each in found}


CHAIN = (
    record("apt", "mount / from exec /bin/sh -c apt-get install python3"),
    record("pip", TODAY, "apt"),
    record("copy", "fileop target", "pip"),
    record("harness", "mount / from exec /bin/sh -c python -m mlperf_docker.harness --version", "copy"),
    record("own", "fileop target", "apt"),
)


def test_a_step_of_ours_and_all_that_stands_on_it_is_ours() -> None:
    assert ids(build_cache.ours(read(*CHAIN))) == {"pip", "copy", "harness"}
    assert ids(build_cache.removable(read(*CHAIN))) == {"pip", "copy", "harness"}


def test_a_step_of_an_earlier_dockerfile_is_ours_and_the_same_script_of_somebody_else_is_not() -> None:
    others = record("other", "mount / from exec /bin/sh -c /run/install layer common", "apt")
    assert ids(build_cache.ours(read(CHAIN[0], record("earlier", EARLIER, "apt"), others))) == {"earlier"}


def test_parents_of_records_that_stay_stay_too() -> None:
    *below, top, own = CHAIN
    for state in ({"Shared": True}, {"InUse": True}):
        assert ids(build_cache.removable(read(*below, {**top, **state}, own))) == set()
    shared = read(*below, top, own, record("other", "fileop target", "copy", shared=True))
    assert ids(build_cache.removable(shared)) == {"harness"}


def test_an_older_engine_names_one_parent() -> None:
    older = {key: value for key, value in CHAIN[1].items() if key != "Parents"} | {"Parent": "apt"}
    assert read(older)[0].parents == ("apt",)
    assert read({**older, "Parent": ""})[0].parents == ()
    assert build_cache.records({"BuildCache": None}) == []


def test_records_without_children_are_removed_first() -> None:
    removed: list[str] = []

    class Engine:
        def remove_build_cache(self, record: str) -> None:
            removed.append(record)

    build_cache.remove(Engine(), build_cache.removable(read(*CHAIN)))  # type: ignore[arg-type]
    assert removed == ["harness", "copy", "pip"]
