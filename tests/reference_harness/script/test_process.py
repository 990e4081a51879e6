"""Output of a reference: what in it tells that it did not run on the GPU that it was asked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.reference_contract.reference import ReferenceImplementation, Sign
from mlperf_docker.reference_harness.script import process
from mlperf_docker.reference_harness.script.process import Script
from tests.reference_harness.conftest import ReferenceHarness

CATALOG = Catalog.load()
WITHOUT_ONE = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a GPU")
WITHOUT_GPU = {
    "onnxruntime": (
        "[W:onnxruntime:Default, onnxruntime_pybind_state.cc:970] Failed to create CUDAExecutionProvider.",
        "Falling back to ['CPUExecutionProvider'] and retrying.",
    ),
    "tensorflow": (
        "E external/local_xla/xla/stream_executor/cuda/cuda_driver.cc:152] failed call to cuInit: CUDA_ERROR_NO_DEVICE",
        "I external/local_tsl/tsl/cuda/cudart_stub.cc:31] Could not find cuda drivers, GPU will not be used.",
        "Skipping registering GPU devices...",
    ),
}
"""Backend → what its builds for GPUs print, as they go on without one."""
ASKING = """
import numpy as np
import onnx
import onnxruntime
node = onnx.helper.make_node("Identity", ["x"], ["y"])
ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
graph = onnx.helper.make_graph([node], "graph", ends[:1], ends[1:])
model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CUDAExecutionProvider"])
print("answered", session.run(None, {"x": np.ones(1, np.float32)}), session.get_providers())
"""
"""Script that asks onnxruntime for CUDA alone, as the reference does."""
DESCRIBED = {
    str(spec): spec.model.reference.described(spec.backend, spec.device)
    for spec in CATALOG.specs
    if spec.model.reference and not spec.model.reference.why_not(spec.backend, spec.device)
}


def signs(described: ReferenceImplementation) -> list[Sign]:
    """What tells that a GPU was asked for and not used."""
    return [each for each in described.signs if each.device == Device.CUDA]


def told(described: ReferenceImplementation, line: str) -> list[str]:
    heard = process.Heard()
    heard.hear(line, [each.pattern for each in described.signs])
    return [sentence for each in signs(described) if each.invalid and (sentence := heard.said(each))]


@pytest.mark.parametrize("cell", [cell for cell in DESCRIBED if cell.endswith("-cuda")])
def test_a_reference_that_goes_on_without_a_gpu_is_told_by_its_lines(cell: str) -> None:
    """PyTorch prints nothing; whether it sees a GPU is looked at before the reference starts."""
    backend = cell.partition(":")[2].removesuffix("-cuda")
    for line in WITHOUT_GPU.get(backend, ()):
        assert told(DESCRIBED[cell], line), line
        assert told(DESCRIBED[cell], "a line of another kind") == []


@WITHOUT_ONE
def test_onnxruntime_that_was_asked_for_cuda_and_has_none_is_told(tmp_path: Path) -> None:
    described = DESCRIBED["bert:onnxruntime-cuda"]
    (tmp_path / "asking.py").write_text(ASKING)
    script = Script(tmp_path / "asking.py", (), {}, tmp_path)
    heard = process.run(script, [each.pattern for each in described.signs])
    assert heard.code == 0
    assert "CPUExecutionProvider" in heard.tail[-1]
    assert [heard.said(each) for each in signs(described)] == [
        "the reference asked for CUDA, found none, and ran on the CPU"
    ]


@pytest.mark.parametrize("cell", DESCRIBED)
def test_a_reference_is_asked_for_a_gpu_where_the_cell_has_one(cell: str) -> None:
    said = DESCRIBED[cell].environment.get("USE_GPU")
    assert said in (None, "yes" if cell.endswith("-cuda") else "no")


@WITHOUT_ONE
@pytest.mark.parametrize("backend", ["onnxruntime", "pytorch"])
def test_a_reference_without_the_gpu_that_it_needs_is_not_started(
    harness_of: Callable[..., ReferenceHarness], backend: str
) -> None:
    done = harness_of("bert", backend, "cuda")("--mode=accuracy")
    assert done.code == ExitCode.DEVICE
    assert "hidden size" not in done.stderr
