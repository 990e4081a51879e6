"""Names become cells; a wrong one is answered with the nearest."""

import pytest

from mlperf_docker.catalog import Catalog
from mlperf_docker.errors import ExitCode, UsageError
from mlperf_docker.names import Backend, Device, Scenario
from mlperf_docker.paths import assets
from mlperf_docker.selector import UnknownNameError, choose, choose_all, find, nearest, parse_choice

CATALOG = Catalog.load(assets() / "images.yaml")


@pytest.mark.parametrize(
    ("arguments", "cell"),
    [
        (("resnet50",), "resnet50:onnxruntime-cpu"),
        (("rnnt",), "rnnt:pytorch-cpu"),
        (("dlrm", None, "cuda"), "dlrm:pytorch-cuda"),
        (("ResNet50", "PyTorch", "CPU"), "resnet50:pytorch-cpu"),
    ],
)
def test_defaults_and_spelling(arguments: tuple[str, ...], cell: str) -> None:
    assert str(find(CATALOG, *arguments)) == cell


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet5",), "Unknown model 'resnet5'. Did you mean resnet50? Known: resnet50, retinanet, bert, "),
        (("unet3d",), "Unknown model 'unet3d'. Did you mean 3d-unet?"),
        (("zzz",), "Unknown model 'zzz'. Known: resnet50"),
        (("resnet50", "onnx"), "Unknown backend 'onnx'. Did you mean onnxruntime?"),
        (("resnet50", None, "cudo"), "Unknown device 'cudo'. Did you mean cuda? Known: cpu, cuda."),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        find(CATALOG, *arguments)
    assert message in str(caught.value)
    assert caught.value.exit_code == ExitCode.USAGE


def test_scenarios_are_spelt_in_any_case() -> None:
    assert parse_choice("scenario", "offline", Scenario) is Scenario.OFFLINE
    with pytest.raises(UnknownNameError, match="Did you mean SingleStream"):
        parse_choice("scenario", "single-stream", Scenario)


def test_nothing_near_gives_nothing() -> None:
    assert nearest("qqqq", Device) is None
    assert nearest("torch", Backend) == "pytorch"


def planned(cell: str) -> Catalog:
    """The catalog with one cell that is only declared."""
    specs = (spec.model_copy(update={"implemented": str(spec) != cell}) for spec in CATALOG.specs)
    return Catalog(CATALOG.registry, CATALOG.models, tuple(specs))


def test_a_cell_without_an_image_is_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        choose(planned("rnnt:tensorflow-cuda"), "rnnt", "tensorflow", "cuda")
    assert str(caught.value) == "rnnt:tensorflow-cuda is declared but has no image yet."
    assert caught.value.exit_code == ExitCode.USAGE


def test_all_takes_what_fits_and_has_an_image() -> None:
    assert choose_all(CATALOG) == CATALOG.specs
    some = choose_all(planned("dlrm:pytorch-cuda"))
    assert [str(spec) for spec in CATALOG.specs if spec not in some] == ["dlrm:pytorch-cuda"]
    assert all(spec.model.name == "resnet50" for spec in choose_all(CATALOG, "resnet50"))
    assert [str(spec) for spec in choose_all(CATALOG, "resnet50", "onnxruntime", "cpu")] == ["resnet50:onnxruntime-cpu"]


def test_all_of_nothing_is_an_error() -> None:
    only_cpu = Catalog(CATALOG.registry, CATALOG.models, tuple(s for s in CATALOG.specs if s.device is Device.CPU))
    with pytest.raises(UsageError, match="No cell for resnet50 cuda has an image yet"):
        choose_all(only_cpu, "resnet50", device="cuda")
