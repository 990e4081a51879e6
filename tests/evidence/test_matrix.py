"""The rows of `list`: state, image and evidence of each cell, with an engine, without one, and for absent cells."""

from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import AbsentCell, ImageSpec
from mlperf_docker.engine import glance
from mlperf_docker.evidence import reading
from mlperf_docker.evidence.matrix import HEADER, Row, matrix
from mlperf_docker.evidence.records import Record
from mlperf_docker.images.lookup import candidates
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.render import recipe_of
from tests.fakes.engine import FakeEngine


@pytest.mark.parametrize(
    ("present", "pullable", "state"),
    [(True, None, "present"), (True, False, "present"), (False, True, "pullable"), (False, False, "buildable")],
)
def test_the_state_is_the_quickest_way_to_the_image(
    resnet50: ImageSpec, present: bool, pullable: bool | None, state: str
) -> None:
    assert Row(reading.offered(resnet50, Record()), "image", present, pullable).state == state


def test_every_cell_has_a_row_in_the_catalogs_order(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glance, "images", FakeEngine)
    rows = matrix()
    named = [(row.fields()["model"], row.fields()["backend"], row.fields()["device"]) for row in rows]
    assert named == [(cell.model.name, cell.backend, cell.device) for cell in catalog.cells]
    assert {len(row.cells()) for row in rows} == {len(HEADER)}


def test_an_image_is_present_where_the_engine_has_its_exact_tag(
    resnet50: ImageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = candidates(FakeEngine(), recipe_of(resnet50).identity, Sources("mlperf-docker"))[0].exact
    monkeypatch.setattr(glance, "images", lambda: FakeEngine(exact))
    states = {row.fields()["image"]: row.fields()["state"] for row in matrix("mlperf-docker")}
    assert states.pop(exact) == "present"
    assert set(states.values()) <= {"buildable", "not offered"}


def test_without_an_engine_nothing_is_said_of_presence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    rows = [row for row in matrix() if row.cell.reason is None]
    assert {(row.present, row.state) for row in rows} == {(None, "buildable")}


def test_an_absent_cell_has_the_keys_of_an_offered_one_and_its_reason(resnet50: ImageSpec) -> None:
    cell = AbsentCell(
        model=resnet50.model, backend=resnet50.backend, device=resnet50.device, reason="there are no wheels"
    )
    row = Row(reading.absent(cell))
    absent = row.fields()
    assert list(absent) == list(Row(reading.offered(resnet50, Record()), "image").fields())
    assert (absent["offered"], absent["reason"], absent["state"]) == (False, "there are no wheels", "not offered")
    assert "there are no wheels" in row.cells()
