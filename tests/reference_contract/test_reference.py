"""Descriptions of reference implementations, as images.yaml gives them and reference.json holds them."""

import string

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.contract.json_values import MalformedError
from mlperf_docker.reference_contract import reference
from mlperf_docker.reference_contract.reference import PLACEHOLDERS, ReferenceImplementation

DESCRIBED = {
    f"{model.name}-{backend}": model.reference.described(backend)
    for model in Catalog.load().models
    if model.reference
    for backend, on in model.reference.backends.items()
    if not on.unsupported
}
OF_MODELS = {
    "resnet50": {"dataset", "list"},
    "retinanet": {"list"},
    "bert": {"features", "part", "predictions", "questions", "vocabulary"},
    "3d-unet": {"predictions", "preprocessed"},
    "rnnt": {"config", "manifest"},
    "dlrm": {"preprocessed"},
}
"""Placeholders that the files of a model give besides."""


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_described_reference_is_read_back_as_it_was_written(name: str) -> None:
    assert reference.from_json(DESCRIBED[name].to_json()) == DESCRIBED[name]


@pytest.mark.parametrize("name", DESCRIBED)
def test_words_of_a_reference_have_placeholders_that_something_fills(name: str) -> None:
    found = DESCRIBED[name]
    more = [*found.modes.values(), *found.scenarios.values(), found.scoring.arguments, found.environment.values()]
    words = [*found.arguments, *(word for each in more for word in each)]
    used = {key for word in words for _, key, _, _ in string.Formatter().parse(word) if key}
    assert used <= PLACEHOLDERS.keys() | OF_MODELS.get(name.rpartition("-")[0], set())


def test_a_description_without_a_script_is_refused() -> None:
    with pytest.raises(MalformedError, match="script"):
        reference.from_json('{"commit": "0", "folder": "a"}')


def test_a_described_reference_has_the_words_of_its_backend_first() -> None:
    found = DESCRIBED["resnet50-onnxruntime"]
    assert isinstance(found, ReferenceImplementation)
    assert found.arguments[0] == "--profile=resnet50-onnxruntime"
    assert found.modes["accuracy"] == ("--accuracy",)
