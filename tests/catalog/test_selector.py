"""Names become cells; a wrong one is answered with the nearest."""

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import UnknownNameError, find, find_all, nearest, parse_choice, select
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.words import Device, Scenario
from mlperf_docker.errors import UsageError
from mlperf_docker.names import Backend
from mlperf_docker.system.paths import assets

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


def test_all_takes_what_fits() -> None:
    assert find_all(CATALOG) == CATALOG.specs
    assert [spec.model.name for spec in find_all(CATALOG, "resnet50")] == ["resnet50"] * 6
    assert {spec.backend for spec in find_all(CATALOG, backend="PyTorch")} == {Backend.PYTORCH}
    assert {spec.device for spec in find_all(CATALOG, device="cuda")} == {Device.CUDA}
    assert [str(spec) for spec in find_all(CATALOG, "resnet50", "onnxruntime", "cpu")] == ["resnet50:onnxruntime-cpu"]
    with pytest.raises(UnknownNameError, match="Did you mean resnet50"):
        find_all(CATALOG, "resnet5")


def test_a_command_line_selects_one_cell_or_all() -> None:
    assert [str(spec) for spec in select(CATALOG, "rnnt", "", "")] == ["rnnt:pytorch-cpu"]
    assert len(select(CATALOG, "rnnt", "", "", every=True)) == 6
    with pytest.raises(UsageError, match=r"No model is named\. Known: resnet50, ") as caught:
        select(CATALOG, "", "pytorch", "")
    assert caught.value.hint == "Name one, or take every cell with --all."
