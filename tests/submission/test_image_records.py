"""Records of images; those that are there, with an engine, are tested with whole commands."""

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.submission import image_records
from tests.results.run_results import run_result

SPEC = find(Catalog.load(), "resnet50", "onnxruntime", "cpu")


def test_an_image_that_is_gone_is_on_record_without_files() -> None:
    used = run_result().image
    assert used is not None
    record = image_records.record(None, recipe_of(SPEC), used)
    assert (record.files, record.revision, record.folder) == ({}, None, "onnxruntime-cpu-abc")
