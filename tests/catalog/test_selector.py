"""Names become cells; a wrong one is answered with the nearest."""

from dataclasses import replace

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import (
    NotOfferedError,
    UnknownNameError,
    find,
    find_all,
    nearest,
    parse_choice,
    select,
)
from mlperf_docker.catalog.spec import AbsentCell
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.words import Scenario
from mlperf_docker.errors import UsageError
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
        (("resnet50", None, "cudo"), "Unknown device 'cudo'. Did you mean cuda? Known: cpu, "),
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
    assert nearest("torch", [backend.name for backend in CATALOG.backends]) == "pytorch"


def test_all_takes_what_fits() -> None:
    assert find_all(CATALOG) == CATALOG.specs
    assert find_all(CATALOG, "resnet50") == tuple(spec for spec in CATALOG.specs if spec.model.name == "resnet50")
    assert {spec.backend for spec in find_all(CATALOG, backend="PyTorch")} == {"pytorch"}
    assert {spec.device for spec in find_all(CATALOG, device="cuda")} == {Device.CUDA}
    assert [str(spec) for spec in find_all(CATALOG, "resnet50", "onnxruntime", "cpu")] == ["resnet50:onnxruntime-cpu"]
    with pytest.raises(UnknownNameError, match="Did you mean resnet50"):
        find_all(CATALOG, "resnet5")


def without_cuda(*backends: str) -> Catalog:
    """The catalog where *backends* are not offered on cuda."""
    cells = [
        AbsentCell(model=cell.model, backend=cell.backend, device=cell.device, reason=f"{cell.backend} has no wheels")
        if cell.device is Device.CUDA and cell.backend in backends
        else cell
        for cell in CATALOG.cells
    ]
    return replace(CATALOG, cells=tuple(cells))


def test_a_cell_that_is_not_offered_is_refused_with_the_reason_and_what_is() -> None:
    catalog = without_cuda("tensorflow")
    with pytest.raises(NotOfferedError) as caught:
        find(catalog, "bert", "TensorFlow", "cuda")
    assert str(caught.value) == "bert:tensorflow-cuda is not offered: tensorflow has no wheels"
    assert (caught.value.hint or "").startswith(
        "Offered in its place: bert -b onnxruntime -d cuda, bert -b pytorch -d "
    )
    assert caught.value.exit_code == ExitCode.USAGE
    with pytest.raises(NotOfferedError) as caught:
        find(without_cuda(*(backend.name for backend in CATALOG.backends)), "bert", None, "cuda")
    assert caught.value.hint == "Offered in its place: bert -b onnxruntime -d cpu."


def test_all_skips_what_is_not_offered_unless_that_is_all() -> None:
    catalog = without_cuda("tensorflow")
    known = {spec.variant for spec in find_all(CATALOG, device="cuda")}
    assert {spec.variant for spec in find_all(catalog, device="cuda")} == known - {"tensorflow-cuda"}
    assert len(find_all(catalog)) == len(CATALOG.specs) - len(CATALOG.models)
    with pytest.raises(NotOfferedError) as caught:
        find_all(catalog, None, "tensorflow", "cuda")
    assert str(caught.value) == "tensorflow-cuda is not offered: tensorflow has no wheels"
    assert len(caught.value.cells) == len(CATALOG.models)


def test_a_command_line_selects_one_cell_or_all() -> None:
    assert [str(spec) for spec in select(CATALOG, "rnnt", "", "")] == ["rnnt:pytorch-cpu"]
    assert select(CATALOG, "rnnt", "", "", every=True) == find_all(CATALOG, "rnnt")
    with pytest.raises(UsageError, match=r"No model is named\. Known: resnet50, ") as caught:
        select(CATALOG, "", "pytorch", "")
    assert caught.value.hint == "Name one, or take every cell with --all."
