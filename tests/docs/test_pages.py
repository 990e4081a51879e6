"""Lists in pages, against the code that defines them."""

import re
import shutil
import subprocess
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.results.values import RunResult
from tests.contract.imports import Floors
from tests.contract.test_layout import HARNESS_FLOORS, HOST
from tests.docs.markdown import PAGES, ROOT, rows, section

RESULTS = ROOT / "docs/results.md"
MARKED = {"README.md": "coverage", "docs/performance.md": "bench"}
"""Pages with a part that make writes, and its marker."""


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models that a field holds, alone or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in typing.get_args(annotation):
        yield from models_in(each)


def keys(model: type[BaseModel]) -> set[str]:
    """Return the keys of a model, with those of the models in it as outer.inner."""
    inner = {
        f"{name}.{key}"
        for name, field in model.model_fields.items()
        for each in models_in(field.annotation)
        for key in keys(each)
    }
    return {*model.model_fields, *inner}


def told(cell: str) -> set[str]:
    """Return the keys that a cell of the table names: `a`, `b`; or `a`: `b`, `c` for those within a, also for `a.b`."""
    names = re.findall(r"`([\w.]+)`", cell)
    return {names[0], *(f"{names[0]}.{each}" for each in names[1:])} if ":" in cell else set(names)


def test_every_key_of_a_result_is_explained() -> None:
    explained = [name for row in rows(section(RESULTS, "Keys")) for name in told(row[0])]
    assert set(explained) == keys(RunResult), "bring docs/results.md up to date"
    assert len(explained) == len(set(explained))


def test_every_exit_code_is_explained() -> None:
    assert [int(row[0]) for row in rows(section(RESULTS, "Exit codes"))] == sorted(ExitCode)


@pytest.mark.parametrize(("half", "floors"), [("host", HOST), ("harness", HARNESS_FLOORS)])
def test_architecture_has_every_room_on_its_floor(half: str, floors: Floors) -> None:
    section_of_half = section(ROOT / "ARCHITECTURE.md", "Rooms and floors").split("\nThe harness, from the top")
    told_rooms = {
        (int(row[0]), room)
        for row in rows(section_of_half[half == "harness"])
        for room in re.findall(r"`(\w+)`", row[1])
    }
    assert told_rooms == {
        (number, module.rpartition(".")[2])
        for number, rooms in enumerate(floors, start=1)
        for modules in rooms.values()
        for module in modules
    }


def test_the_readme_is_short_and_its_picture_small() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 90
    assert (ROOT / "docs/report.png").stat().st_size <= 150_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_whole(page: Path) -> None:
    """Each row of a table has as many cells as its header; a blank or an escaped stroke in one would shift them."""
    for block in re.findall(r"(?:^\|.*\n)+", page.read_text(), re.MULTILINE):
        widths = {len(re.split(r"(?<!\\)\|", line.strip().strip("|"))) for line in block.splitlines()}
        assert len(widths) == 1, block


@pytest.mark.parametrize(("page", "marker"), MARKED.items())
def test_make_replaces_what_is_between_the_markers(page: str, marker: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / page, tmp_path / "page.md")
    (tmp_path / "new.md").write_text("| new |\n")
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"include {ROOT}/Makefile\nreplace:\n\t$(call between,{marker},new.md,page.md)\n")
    subprocess.run(["make", "--silent", "replace"], cwd=tmp_path, check=True, timeout=30)
    before, _, rest = (ROOT / page).read_text().partition(f"<!-- {marker} -->\n")
    _, _, after = rest.partition(f"<!-- /{marker} -->\n")
    expected = f"{before}<!-- {marker} -->\n| new |\n<!-- /{marker} -->\n{after}"
    assert (tmp_path / "page.md").read_text() == expected
