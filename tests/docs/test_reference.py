"""docs/reference.md: the coverage, and a measured row for each cell whose reference runs on the processor."""

import re

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.contract.devices import Device
from mlperf_docker.system.paths import assets


@pytest.fixture(scope="module")
def page() -> str:
    return (assets() / "docs" / "reference.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def running() -> dict[tuple[str, str], bool]:
    """Model and backend → whether the reference runs there."""
    return {
        (spec.model.name, spec.backend): bool(
            spec.model.reference and not spec.model.reference.why_not(spec.backend, Device.CPU)
        )
        for spec in Catalog.load().specs
        if spec.device == Device.CPU
    }


def rows(page: str, head: str) -> list[list[str]]:
    """The cells of the table that begins with the line *head*."""
    lines = page.partition(f"{head}\n")[2].splitlines()[1:]
    table = lines[: next(number for number, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_coverage_is_that_of_the_catalog(page: str, running: dict[tuple[str, str], bool]) -> None:
    backends = list(dict.fromkeys(backend for _, backend in running))
    told = {
        (model, backend): word == "both"
        for model, *words in rows(page, f"| model | {' | '.join(backends)} |")
        for backend, word in zip(backends, words, strict=True)
    }
    assert told == running


def test_each_cell_is_measured_or_says_why_not(page: str, running: dict[tuple[str, str], bool]) -> None:
    measured = {
        tuple(row[0].split(", ")) for row in rows(page, "| cell | answers | accuracy line | ours ÷ the reference |")
    }
    without = {
        (model, backend)
        for row in rows(page, "| cell | why not |")
        for model, backends in [row[0].split(", ")]
        for backend in re.split(" and ", backends)
    }
    assert measured == {cell for cell, runs in running.items() if runs}
    assert without == {cell for cell, runs in running.items() if not runs}
