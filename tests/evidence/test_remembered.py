"""Cached facts of `list`: right whatever the file holds, and computed anew after any change."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.evidence import reading, remembered
from mlperf_docker.evidence.facts import Facts
from mlperf_docker.evidence.matrix import Row
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.system import paths

HEAVY = ("pydantic", "yaml", "jinja2", "docker", "requests")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is remembered in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/mlperf-docker/cells.json"


@pytest.fixture
def computations(monkeypatch: pytest.MonkeyPatch) -> list[Facts]:
    """What was computed so far."""
    done: list[Facts] = []
    computed = reading.computed

    def counted() -> Facts:
        done.append(computed())
        return done[-1]

    monkeypatch.setattr(reading, "computed", counted)
    return done


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project's assets, to be changed."""
    copy = tmp_path / "assets"
    copy.mkdir()
    for name in ("images.yaml", "evidence.json"):
        shutil.copy(paths.assets() / name, copy)
    for name in ("templates", "locks"):
        shutil.copytree(paths.assets() / name, copy / name)
    monkeypatch.setattr(paths, "assets", lambda: copy)
    return copy


def test_the_second_time_nothing_is_computed_and_all_is_the_same(cache: Path, computations: list[Facts]) -> None:
    assert remembered.known() == remembered.known() == computations[0]
    assert len(computations) == 1
    assert cache.is_file()


def test_the_facts_are_those_of_the_catalog(cache: Path, catalog: Catalog) -> None:
    known = remembered.known()
    assert known.registry == catalog.registry
    assert [cell.identity for cell in known.cells] == [recipe_of(spec).identity for spec in catalog.specs]
    assert known.cells[0].files[0]["name"] == "resnet50_v1.onnx"


def test_remembered_facts_are_read_without_the_modules_that_compute_them(cache: Path) -> None:
    remembered.known()
    program = (
        "import sys; from mlperf_docker.evidence import remembered; found = remembered.known();"
        f"print(len(found.cells), *(name for name in {HEAVY} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{len(Catalog.load().cells)}\n"


def damaged(text: bytes) -> list[bytes]:
    key, digest, json = text.split(b"\n")
    other = json.replace(b'"default": true', b'"default": 1.5')
    return [
        b"",
        text[:1000],
        b"\xff\n\x00\n",
        b"\n".join((key, digest, other)),
        b"\n".join((key, digest, b"[]")),
        b"{}",
    ]


@pytest.mark.parametrize("number", range(6))
def test_a_damaged_file_counts_as_none(cache: Path, computations: list[Facts], number: int) -> None:
    right = remembered.known()
    cache.write_bytes(damaged(cache.read_bytes())[number])
    assert remembered.known() == right
    assert len(computations) == 2
    assert remembered.known() == right
    assert len(computations) == 2, "it was written anew"


def test_a_folder_in_the_files_place_is_left_alone(cache: Path, computations: list[Facts]) -> None:
    (cache / "something").mkdir(parents=True)
    assert remembered.known() == remembered.known()
    assert (cache / "something").is_dir()


def test_a_cache_that_cannot_be_made_is_no_error(cache: Path, tmp_path: Path) -> None:
    cache.parent.parent.mkdir(parents=True, exist_ok=True)
    cache.parent.write_text("a file where the folder would be, which stops root too")
    assert remembered.known() == remembered.known()


def _edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


@pytest.mark.parametrize(
    "change",
    [
        _edit("images.yaml", "registry: mlperf-docker", "registry: other"),
        _edit("templates/Dockerfile.j2", "The interpreter", "An interpreter"),
        _edit("locks/onnxruntime-cpu.txt", "sha256:", f"sha256:{'0' * 64} \\\n    --hash=sha256:"),
        _edit("evidence.json", '"format": 1', '"format":  1'),
        lambda folder: (
            (folder / "templates/resnet50").mkdir()
            or (folder / "templates/resnet50/onnxruntime-cpu.Dockerfile.j2").write_text("FROM scratch\n")
        ),
    ],
    ids=["catalog", "template", "lock", "evidence", "a template more"],
)
def test_any_change_is_seen(
    cache: Path, assets: Path, computations: list[Facts], change: Callable[[Path], object]
) -> None:
    remembered.known()
    change(assets)
    assert remembered.known() == computations[-1]
    assert len(computations) == 2


def test_a_change_in_the_harness_is_seen(
    cache: Path, computations: list[Facts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered.known()
    package = shutil.copytree(paths.PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "harness/more.py").write_text("")
    root = paths.assets()
    monkeypatch.setattr(paths, "assets", lambda: root)
    monkeypatch.setattr(paths, "PACKAGE", package)
    remembered.known()
    assert len(computations) == 2


def test_a_cell_that_is_not_offered_says_so_after_it_was_remembered(cache: Path) -> None:
    known = remembered.known()
    absent = replace(known.cells[0], reason="no such wheels", identity=None, precisions=(), files=())
    again = Facts.parsed(Facts("r", (absent,)).dumped())
    assert again.cells == (absent,)
    row = Row(again.cells[0])
    assert row.cells()[3:] == ("-", "not offered", "no such wheels", "-", "-")
    assert (row.fields()["offered"], row.fields()["image"]) == (False, None)
