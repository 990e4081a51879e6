"""Locks as made by a stand-in for uv that writes a known answer."""

import os
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.errors import UsageError
from mlperf_docker.recipe import lock
from mlperf_docker.recipe.host_settings import HostSettings
from mlperf_docker.recipe.requirements import parse
from mlperf_docker.system.paths import assets
from tests.fixtures import tiny_wheel

CATALOG = Catalog.load(assets() / "images.yaml")
HASH = "sha256:" + "c" * 64
ANSWER = f"numpy==9.9 \\\n    --hash={HASH}\n    # via -r onnxruntime-cpu.in\n"


def pretend_uv(folder: Path, body: str) -> str:
    """Return a program that does *body* with `arguments`, the command line without the program."""
    program = folder / "uv"
    program.write_text(f"#!{sys.executable}\nimport pathlib, sys\narguments = sys.argv[1:]\n{body}\n")
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A uv that writes ANSWER and keeps its arguments and source in tmp_path, by variant; every Python can have it."""
    body = (
        "targets = [a.partition('=')[2] for a in arguments if a.startswith('--output-file=')]\n"
        "if not targets:\n    sys.exit()\n"
        "target = targets[0]\n"
        f"pathlib.Path(target).write_text({ANSWER!r})\n"
        f"kept = pathlib.Path({str(tmp_path)!r})\n"
        "source = pathlib.Path(arguments[-1])\n"
        "variant = pathlib.Path(target).stem\n"
        "(kept / f'{variant}.arguments').write_text('\\n'.join(arguments))\n"
        "(kept / f'{variant}.asked').write_text(source.read_text())"
    )
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(lock, "find_uv", lambda: pretend_uv(tmp_path, body))
    return tmp_path


def test_the_lock_is_written_and_its_change_shown(uv: Path) -> None:
    folder = uv / "locks"
    first = lock.refresh(CATALOG, folder)
    for variant, (spec, *_) in lock.by_variant(CATALOG).items():
        assert (folder / f"{variant}.txt").read_text() == lock.header(spec) + ANSWER
    assert "+numpy==9.9" in first
    assert lock.refresh(CATALOG, folder) == ()
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("variant", lock.by_variant(CATALOG))
def test_uv_gets_what_the_catalog_asks_for_and_no_path_of_this_machine(uv: Path, variant: str) -> None:
    lock.refresh(CATALOG, uv / "locks", upgrade=True)
    arguments = (uv / f"{variant}.arguments").read_text().splitlines()
    spec, *_ = lock.by_variant(CATALOG)[variant]
    assert "--generate-hashes" in arguments
    assert "--only-binary=:all:" in arguments
    assert "--universal" in arguments
    assert f"--python-version={spec.pythons[0]}" in arguments
    assert "--upgrade" in arguments
    assert f"--output-file={variant}.txt" in arguments
    assert arguments[-1] == ("pyproject.toml" if spec.own_index else f"{variant}.in")
    assert "/" not in "".join(arguments)
    text = (uv / f"{variant}.asked").read_text()
    wanted = tomllib.loads(text)["project"]["dependencies"] if spec.own_index else text.split()
    assert set(spec.common_requirements) | set(spec.backend_requirements) < set(wanted)
    assert any(line.startswith("opencv-python-headless>=") for line in wanted)
    assert any(line.startswith("pillow>=") for line in wanted) is (spec.backend == "pytorch")


@pytest.mark.parametrize(
    ("wheel", "taken"),
    [
        ("torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", True),
        ("torch-2.13.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl", False),
        ("torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl", False),
        ("numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl", False),
    ],
)
def test_a_folder_of_wheels_comes_before_a_makers_index_and_serves_no_other_backend(
    tmp_path: Path, wheel: str, taken: bool
) -> None:
    (tmp_path / wheel).touch()
    host = HostSettings(wheelhouses=(tmp_path,), find_links=("https://own.test/wheels",))
    cells = lock.by_variant(CATALOG)
    source = lock.source(cells["pytorch-cpu"], host)
    assert source.find_links == ((str(tmp_path), "https://own.test/wheels") if taken else ())
    assert ("index" in source.text) is not taken
    assert all(lock.source(cells[each], host).find_links == () for each in cells if each != "pytorch-cpu")


def test_only_what_has_a_local_version_is_taken_from_a_makers_index() -> None:
    cells = lock.by_variant(CATALOG)["pytorch-cpu"]
    project = tomllib.loads(lock.source(cells, HostSettings()).text)
    assert project["project"]["dependencies"] == lock.requirements_in(cells).splitlines()
    assert project["tool"]["uv"]["sources"] == {"torch": {"index": "own"}}
    assert project["tool"]["uv"]["index"] == [{"name": "own", "url": cells[0].own_index, "explicit": True}]


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str], Path]]:
    """A public index with everything in 2.14.0; a maker's own with torch 2.13.0+cpu, and another loadgen.

    Yields the server's URL, the paths it was asked for so far, and the wheel of torch 2.13.0+cpu.
    """
    for name in ("loadgen", "torch", "vision"):
        needs = "loadgen" if name == "torch" else ""
        tiny_wheel.offer(tmp_path / "public", tiny_wheel.make(tmp_path / "made", name, "2.14.0", needs=needs))
    local = tiny_wheel.make(tmp_path / "local", "torch", "2.13.0+cpu", needs="loadgen")
    tiny_wheel.offer(tmp_path / "own", local)
    tiny_wheel.offer(tmp_path / "own", tiny_wheel.make(tmp_path / "made", "loadgen", "2.15.0"))
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with tiny_wheel.served(tmp_path) as (url, asked):
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{url}/public")
        yield url, asked, local


@pytest.mark.parametrize("from_folder", [True, False])
def test_uv_itself_locks_a_local_version(
    offered: tuple[str, list[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_folder: bool
) -> None:
    url, asked, wheel = offered
    pytorch = next(spec for spec in CATALOG.specs if spec.variant == "pytorch-cpu")
    asks = {
        "common_requirements": ("loadgen>=1",),
        "backend_requirements": ("torch==2.13.0+cpu",),
        "model_requirements": ("vision>=1",),
        "own_index": f"{url}/own",
    }
    catalog = replace(CATALOG, cells=(pytorch.model_copy(update=asks),))
    if from_folder:
        monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    (change,) = lock.lock(catalog, tmp_path, upgrade=False)
    assert {pin.name: pin.version for pin in parse(change.after).values()} == {
        "loadgen": "2.14.0",
        "torch": "2.13.0+cpu",
        "vision": "2.14.0",
    }
    assert parse(change.after)["torch"].hashes == (tiny_wheel.digest(wheel),)
    assert not [word for word in ("://", str(tmp_path), "find-links") if word in change.after]
    assert {"/own/torch/"} >= {path for path in asked if path.startswith("/own/") and path.endswith("/")}
    assert ("/own/torch/" in asked) is not from_folder


def with_tiny(pythons: tuple[str, ...], *wanted: str) -> Catalog:
    """A catalog of one cell that asks for the small packages *wanted*."""
    spec = next(spec for spec in CATALOG.specs if spec.variant == "onnxruntime-cpu")
    asks = {"common_requirements": wanted, "backend_requirements": (), "model_requirements": (), "pythons": pythons}
    return replace(CATALOG, cells=(spec.model_copy(update=asks),))


@pytest.fixture
def for_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A public index with tiny 1, 2 (from Python 3.12), one for 3.11 alone, and what only 3.11 needs of another."""
    offers = (
        ("tiny", "1.0.0", ">=3.11", "py3-none-any", ""),
        ("tiny", "2.0.0", ">=3.12", "py3-none-any", ""),
        ("single", "1.0.0", ">=3.11", "cp311-cp311-manylinux_2_28_x86_64", ""),
        ("backport", "1.0.0", ">=3.9", "py3-none-any", ""),
        ("user", "1.0.0", ">=3.11", "py3-none-any", "backport ; python_version < '3.12'"),
    )
    for name, version, python, tag, needs in offers:
        wheel = tiny_wheel.make(tmp_path / "made", name, version, needs=needs, python=python, tag=tag)
        tiny_wheel.offer(tmp_path / "public", wheel)
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with tiny_wheel.served(tmp_path) as (url, _):
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{url}/public")
        yield


def test_uv_itself_locks_one_version_for_every_python(for_some: None, tmp_path: Path) -> None:
    catalog = with_tiny(("3.11", "3.12", "3.13"), "tiny>=1", "user>=1")
    (change,) = lock.lock(catalog, tmp_path, upgrade=False)
    assert change.after.startswith(
        "# generated by mlperf-docker lock from images.yaml, for Python 3.11 to 3.13 on x86_64 Linux\n"
    )
    pins = parse(change.after)
    assert {name: pin.version for name, pin in pins.items()} == {"backport": "1.0.0", "tiny": "1.0.0", "user": "1.0.0"}
    for_python = {python: {name for name, pin in pins.items() if pin.is_for(python)} for python in ("3.11", "3.12")}
    assert for_python == {"3.11": {"backport", "tiny", "user"}, "3.12": {"tiny", "user"}}
    (newer,) = lock.lock(with_tiny(("3.12", "3.13"), "tiny>=1"), tmp_path, upgrade=True)
    assert parse(newer.after)["tiny"].version == "2.0.0"


def test_a_python_without_a_wheel_is_named_and_no_lock_is_written(for_some: None, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"No lock for onnxruntime-cpu and Python 3.12; uv says:\n(.|\n)*single"
    ) as caught:
        lock.lock(with_tiny(("3.11", "3.12"), "single>=1"), tmp_path, upgrade=False)
    assert "pythons" in (caught.value.hint or "")
    assert not list(tmp_path.glob("*.txt"))
    (change,) = lock.lock(with_tiny(("3.11",), "single>=1"), tmp_path, upgrade=False)
    assert "for Python 3.11 on" in change.after.splitlines()[0]


def test_a_failure_shows_what_uv_said_and_leaves_the_old_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = pretend_uv(tmp_path, "sys.exit('no solution: numpy is too old')")
    monkeypatch.setattr(lock, "find_uv", lambda: program)
    old = tmp_path / "onnxruntime-cpu.txt"
    old.write_text("before")
    with pytest.raises(UsageError, match="No lock for onnxruntime-cpu; uv says:\nno solution: numpy is too old"):
        lock.refresh(CATALOG, tmp_path)
    assert old.read_text() == "before"


def test_pips_index_serves_uv_unless_it_has_its_own() -> None:
    mirror = {"PIP_INDEX_URL": "https://mirror.example/simple"}
    assert lock.environment(mirror)["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    own = {**mirror, "UV_DEFAULT_INDEX": "https://other.example/simple"}
    assert lock.environment(own)["UV_DEFAULT_INDEX"] == "https://other.example/simple"
    assert "UV_DEFAULT_INDEX" not in lock.environment({})
