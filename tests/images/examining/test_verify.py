"""`verify` on an engine that exports an image known file by file: what it reads, what it says, what is not there."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine.engine import NotOnEngineError
from mlperf_docker.errors import UsageError
from mlperf_docker.images.examining.contents import SBOM
from mlperf_docker.images.examining.verify import ImageAbsentError, locate, sbom, verify
from mlperf_docker.images.lookup import candidates
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.identity import moving_tag
from tests.fakes.engine import FakeDisplay, FakeEngine, image_id
from tests.images.examining.test_differences import CONFIG, RECIPE, SPEC, TAG, archived, files, labels


class ExportingEngine(FakeEngine):
    """An engine with one image, whose files are those of the archive; it counts the containers that stay."""

    def __init__(self, changes: dict[str, bytes | None] | None = None) -> None:
        super().__init__(TAG)
        self.present[TAG]["Config"] = {**CONFIG, "Labels": labels()}
        self.changes = changes or {}
        self.staying: set[str] = set()

    def create_container(self, name: str, configuration: Mapping[str, Any]) -> None:
        assert configuration["Image"] in (TAG, image_id(TAG))
        self.staying.add(name)

    def export_container(self, container: str) -> Iterator[bytes]:
        yield archived(self.changes)

    def read_path(self, container: str, path: str) -> Iterator[bytes]:
        data = {**files(), **self.changes}.get(path.lstrip("/"))
        if data is None:
            raise NotOnEngineError(f"Could not find the file {path}")
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo("sbom")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        return iter((archive.getvalue(),))

    def remove_container(self, container: str, *, force: bool = False) -> None:
        self.staying.remove(container)


def test_an_image_as_it_should_be_is_equal_and_leaves_no_container() -> None:
    engine = ExportingEngine()
    verdict = verify(engine, RECIPE, TAG, FakeDisplay())
    assert verdict.differences == ()
    assert verdict.fields()["equal"]
    assert (verdict.id, verdict.files) == (image_id(TAG), len(files()))
    (line,) = verdict.lines()
    assert line == f"{SPEC}: as it should be: {TAG} ({verdict.components} components, {verdict.files} files)"
    assert engine.staying == set()


def test_each_difference_has_a_line_and_an_entry() -> None:
    verdict = verify(ExportingEngine({"usr/bin/gzip": b"another program"}), RECIPE, TAG, FakeDisplay())
    first, *rest = verdict.lines()
    assert first == f"{SPEC}: 1 difference in {TAG}"
    assert ["/usr/bin/gzip" in line for line in rest] == [True]
    assert not verdict.fields()["equal"]
    assert len(verdict.fields()["differences"]) == 1


def test_of_many_differences_twenty_of_a_kind_are_shown_and_the_others_counted() -> None:
    added: dict[str, bytes | None] = {f"opt/mlperf/added{number}": b"" for number in range(25)}
    verdict = verify(ExportingEngine(added), RECIPE, TAG, FakeDisplay())
    lines = list(verdict.lines())
    assert len(verdict.differences) == 25
    assert len(lines) == 1 + 20 + 1
    assert lines[-1].endswith("and 5 more, all of them with --json")


def test_an_image_that_is_not_there_is_a_usage_error_that_tells_how_to_build_it() -> None:
    with pytest.raises(ImageAbsentError) as caught:
        verify(ExportingEngine(), RECIPE, "another:tag", FakeDisplay())
    assert caught.value.exit_code == ExitCode.USAGE
    assert f"mlperf-docker build {SPEC.words}" in (caught.value.hint or "")


def test_the_image_of_todays_sources_comes_before_the_last_one_made() -> None:
    sources = Sources("mlperf-docker")
    exact = candidates(FakeEngine(), RECIPE.identity, sources)[0].exact
    moving = moving_tag(str(SPEC), sources.registry)
    assert locate(FakeEngine(exact, moving), RECIPE, sources) == exact
    assert locate(FakeEngine(moving), RECIPE, sources) == moving
    with pytest.raises(ImageAbsentError, match=exact):
        locate(FakeEngine(), RECIPE, sources)


def test_the_bill_of_materials_comes_out_byte_for_byte() -> None:
    assert sbom(ExportingEngine(), SPEC, TAG) == files()[SBOM]
    with pytest.raises(UsageError, match="built before images had one"):
        sbom(ExportingEngine({SBOM: None}), SPEC, TAG)
    with pytest.raises(ImageAbsentError):
        sbom(ExportingEngine(), SPEC, "another:tag")
