"""Graphs that are run as they are: the files they are made of, their numbers, their batch, and what cannot be run."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.numpy
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.backend import LoadRequest
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.backends import registry
from mlperf_docker.harness.weights import frameworks, numbers, onnx_files
from mlperf_docker.harness.weights import safetensors as weights
from mlperf_docker.harness.weights.model_files import identify
from mlperf_docker.inputs.models import split_files
from tests.harness.commands.test_run import graph as official_graph
from tests.harness.process import Harness

Array = NDArray[Any]
RNG = np.random.default_rng(8)
WEIGHT = RNG.standard_normal((4, 3), dtype=np.float32)
BIAS = RNG.standard_normal(3, dtype=np.float32)
Inputs = dict[str, Any]


def rows(name: str = "x", batch: int | None = None, dtype: str = "float32") -> Tensor:
    return Tensor(name, dtype, (batch, 4))


def sums(name: str = "y") -> Tensor:
    return Tensor(name, "float32", (None, 3))


def expected(x: Array) -> Array:
    return x @ WEIGHT + BIAS


# Each writer makes a file of the same function, with its batch free or fixed, and its weights as given.


def write_onnx(path: Path, batch: int | None = None, weight: Array = WEIGHT, bias: Array = BIAS) -> Interface:
    shape: list[Any] = ["N" if batch is None else batch]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Constant", [], ["b"], value=numpy_helper.from_array(bias)),
        helper.make_node("Add", ["product", "b"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [*shape, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [*shape, 3])
    made = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return Interface((rows(),), (sums(),))


def write_frozen(path: Path, batch: int | None = None, weight: Array = WEIGHT, bias: Array = BIAS) -> Interface:
    tf = frameworks.load("tensorflow")
    with tf.Graph().as_default() as made:
        x = tf.compat.v1.placeholder("float32", (batch, 4), "x")
        tf.add(x @ tf.constant(weight, name="w"), tf.constant(bias, name="b"), name="y")
    path.write_bytes(made.as_graph_def().SerializeToString())
    return Interface((rows("x:0"),), (sums("y:0"),))


def write_saved(path: Path, batch: int | None = None, weight: Array = WEIGHT, bias: Array = BIAS) -> Interface:
    tf = frameworks.load("tensorflow")
    module = tf.Module()
    module.w, module.b = tf.Variable(weight, name="w"), tf.constant(bias)
    call = tf.function(lambda x: {"y": x @ module.w + module.b})
    signature = call.get_concrete_function(tf.TensorSpec((batch, 4), tf.float32, "x"))
    tf.saved_model.save(module, str(path.parent), signatures=signature)
    return Interface((rows(),), (sums(),))


class Linear(torch.nn.Module):  # type: ignore[misc,unused-ignore]
    def __init__(self, batch: int | None, weight: Array, bias: Array) -> None:
        super().__init__()
        self.batch = batch
        self.w = torch.nn.Parameter(torch.from_numpy(weight))
        self.register_buffer("b", torch.from_numpy(bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x @ self.w + self.b
        return y if self.batch is None else y.reshape(self.batch, 3)


def write_script(path: Path, batch: int | None = None, weight: Array = WEIGHT, bias: Array = BIAS) -> Interface:
    module = Linear(batch, weight, bias)
    torch.jit.trace(module, torch.zeros(batch or 2, 4)).save(str(path))
    return Interface((rows(),), (sums(),))


def write_frozen_script(path: Path, batch: int | None = None, weight: Array = WEIGHT, bias: Array = BIAS) -> Interface:
    traced = torch.jit.trace(Linear(batch, weight, bias).eval(), torch.zeros(batch or 2, 4))
    torch.jit.freeze(traced).save(str(path))
    return Interface((rows(),), (sums(),))


KINDS: dict[str, tuple[str, str, ModelFormat, Callable[..., Interface]]] = {
    "onnx": ("onnxruntime", "m.onnx", ModelFormat.ONNX, write_onnx),
    "frozen": ("tensorflow", "m.pb", ModelFormat.FROZEN_GRAPH, write_frozen),
    "saved": ("tensorflow", "saved_model.pb", ModelFormat.SAVED_MODEL, write_saved),
    "script": ("pytorch", "m.pt", ModelFormat.TORCHSCRIPT, write_script),
    "frozen-script": ("pytorch", "m.pt", ModelFormat.TORCHSCRIPT, write_frozen_script),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def examined(kind: str, folder: Path, wanted: Interface | None = None, **options: Any) -> tuple[Path, Interface]:
    """Write a file and look at it, as every command does before it runs one."""
    backend, name, form, write = KINDS[kind]
    interface = write(folder / name, **options)
    return folder / name, registry.load(backend).examine(folder / name, form, wanted or interface)


def run(kind: str, path: Path, interface: Interface, x: Array) -> Array:
    backend, _, form, _ = KINDS[kind]
    predictor = registry.load(backend).load(LoadRequest(path, interface, Device.CPU, 1, form))
    assert predictor.prove((x,))
    (y,) = predictor.predict((x,))
    return np.asarray(y)


@pytest.mark.parametrize("batch", [None, 1, 8])
def test_a_batch_that_is_fixed_is_found_out_and_filled_up(kind: str, batch: int | None, tmp_path: Path) -> None:
    path, interface = examined(kind, tmp_path, batch=batch)
    assert interface.batch == batch
    for count in (1, 3, 8, 19):
        x = RNG.standard_normal((count, 4), dtype=np.float32)
        np.testing.assert_allclose(run(kind, path, interface, x), expected(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("place", ["weight", "bias"])
def test_numbers_that_are_none_are_refused_by_name(kind: str, place: str, odd: float, tmp_path: Path) -> None:
    array = {"weight": WEIGHT, "bias": BIAS}[place].copy()
    array.flat[1] = odd
    with pytest.raises(ModelFileError, match="not finite, in 1 tensor") as raised:
        examined(kind, tmp_path, None, **{place: array})
    (line,) = raised.value.details
    assert line.endswith(f"1] is {odd}")


@pytest.mark.parametrize(
    "wanted",
    [
        Interface((Tensor("x", "float32", (None, 5)),), (sums(),)),
        Interface((Tensor("x", "float32", (None, 3, 224, 224)),), (sums(),)),
        Interface((rows(),), (Tensor("y", "float32", (None, 1000)),)),
        Interface((rows(),), (Tensor("y", "int64", (None, 3)),)),
        Interface((rows(),), (sums(), sums("more"))),
        Interface((rows(), rows("second")), (sums(),)),
    ],
    ids=["size", "image", "classes", "type", "outputs", "inputs"],
)
def test_a_graph_with_other_inputs_is_refused(kind: str, wanted: Interface, tmp_path: Path) -> None:
    if kind == "frozen":
        named = [[Tensor(f"{t.name}:0", t.dtype, t.shape) for t in side] for side in (wanted.inputs, wanted.outputs)]
        wanted = Interface(tuple(named[0]), tuple(named[1]))
    with pytest.raises(ModelFileError, match="is not this model") as raised:
        examined(kind, tmp_path, wanted=wanted)
    assert "models convert" in (raised.value.hint or "")


def test_halves_at_the_ends_of_a_graph_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    write_onnx(path)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="other inputs") as raised:
        registry.load("onnxruntime").examine(path, ModelFormat.ONNX, Interface((rows(),), (sums(),)))
    assert "should be x float32 [N, 4], is x float16 [N, 4]" in raised.value.details[0]
    assert "models convert" in (raised.value.hint or "")


@pytest.mark.parametrize("change", ["ir_version", "opset_import"])
def test_a_file_for_a_newer_onnxruntime_is_not_called_damaged(tmp_path: Path, change: str) -> None:
    path = tmp_path / "newer.onnx"
    interface = write_onnx(path)
    model = onnx.load(path)
    if change == "ir_version":
        model.ir_version = 99
    else:
        model.opset_import[0].version = 99
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="99") as raised:
        registry.load("onnxruntime").load(LoadRequest(path, interface, Device.CPU, 1, ModelFormat.ONNX))
    assert "/onnxruntime_src" not in str(raised.value)
    assert re.search(r"(version:|till opset) \d+", str(raised.value)), "what this onnxruntime knows is told, too"
    assert "newer onnxruntime" in (raised.value.hint or "")
    assert "truncated" not in (raised.value.hint or "")


def outside(path: Path, weight: Array = WEIGHT, location: str = "m.data") -> Path:
    """An ONNX file whose weight is in another one."""
    write_onnx(path, weight=weight)
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    if not Path(location).is_absolute() and ".." not in location:
        (path.parent / location).write_bytes(bytes(64) + tensor.raw_data)
    onnx.external_data_helper.set_external_data(tensor, location, offset=64, length=weight.nbytes)
    tensor.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    return path


def test_the_checksum_is_of_all_files_that_a_model_is_made_of(tmp_path: Path) -> None:
    path = outside(tmp_path / "m.onnx")
    first = identify(path, None)
    assert sorted(first.files) == ["m.data", "m.onnx"]
    lines = "".join(f"{hashlib.sha256((tmp_path / n).read_bytes()).hexdigest()}  {n}\n" for n in sorted(first.files))
    assert first.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    on_host = split_files.sums(path)
    assert (on_host, split_files.combined(on_host)) == (first.files, first.sha256)
    graph_alone = path.read_bytes()
    outside(path, WEIGHT + 1)
    assert path.read_bytes() == graph_alone
    assert identify(path, None).sha256 != first.sha256
    (tmp_path / "m.data").unlink()
    with pytest.raises(ModelFileError, match=r"in a file beside it: .*missing"):
        identify(path, None)


def test_a_saved_model_is_the_sum_of_its_folder(tmp_path: Path) -> None:
    write_saved(tmp_path / "saved_model.pb")
    first = identify(tmp_path / "saved_model.pb", None)
    assert "variables/variables.index" in first.files
    assert split_files.sums(tmp_path / "saved_model.pb") == first.files
    (tmp_path / "variables/variables.data-00000-of-00001").write_bytes(b"other numbers")
    assert identify(tmp_path / "saved_model.pb", None).sha256 != first.sha256


def test_a_model_in_one_file_has_the_checksum_of_that(tmp_path: Path) -> None:
    write_onnx(tmp_path / "m.onnx")
    file = identify(tmp_path / "m.onnx", None)
    assert file.facts == {"sha256": hashlib.sha256((tmp_path / "m.onnx").read_bytes()).hexdigest()}


def test_weights_in_another_file_are_read_and_looked_at(tmp_path: Path) -> None:
    path = outside(tmp_path / "m.onnx")
    (name, tensor), *_ = onnx_files.tensors(onnx_files.load_model(path))
    np.testing.assert_array_equal(onnx_files.array_of(path, tensor), WEIGHT)
    np.testing.assert_array_equal(numpy_helper.to_array(onnx_files.load_graph(path).initializer[0]), WEIGHT)
    odd = WEIGHT.copy()
    odd[3, 2] = np.nan
    outside(path, odd)
    with pytest.raises(ModelFileError, match="not finite") as raised:
        registry.load("onnxruntime").examine(path, ModelFormat.ONNX, Interface((rows(),), (sums(),)))
    assert (name, raised.value.details) == ("w", ("w[3, 2] is nan",))
    (tmp_path / "m.data").write_bytes(bytes(80))
    with pytest.raises(ModelFileError, match="that file has 80"):
        onnx_files.load_graph(path)


def as_hub(folder: Path) -> Path:
    """The same files as the cache of a model hub has them: named by their content, with links of their names."""
    (folder / "blobs").mkdir()
    (folder / "snapshots/main").mkdir(parents=True)
    for name in ("m.onnx", "m.data"):
        blob = folder / "blobs" / hashlib.sha256(name.encode()).hexdigest()
        (folder / name).rename(blob)
        (folder / "snapshots/main" / name).symlink_to(Path("../../blobs") / blob.name)
    return folder / "snapshots/main/m.onnx"


def test_links_of_a_model_hub_are_as_good_as_the_files(tmp_path: Path) -> None:
    whole = identify(outside(tmp_path / "m.onnx"), None)
    path = as_hub(tmp_path)
    assert identify(path, None).files == whole.files
    interface = registry.load("onnxruntime").examine(path, ModelFormat.ONNX, Interface((rows(),), (sums(),)))
    x = RNG.standard_normal((2, 4), dtype=np.float32)
    np.testing.assert_allclose(run("onnx", path, interface, x), expected(x), rtol=1e-5, atol=1e-6)
    assert onnx_files.load_graph(path).initializer[0].raw_data == WEIGHT.tobytes()


@pytest.mark.parametrize("location", ["/etc/passwd", "../secret", "below/../../secret", "link", "linked/secret", ""])
def test_nothing_outside_of_the_folder_is_read(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(1000))
    (folder / "below").mkdir()
    path = outside(folder / "m.onnx", location="aside")
    (folder / "link").symlink_to("../secret")
    (folder / "linked").symlink_to("..")
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    path.write_bytes(model.SerializeToString())
    for reader in (lambda: identify(path, None), lambda: onnx_files.load_graph(path)):
        with pytest.raises(ModelFileError, match="from outside its folder"):
            reader()


@pytest.mark.parametrize("beside", ["fifo", "folder"])
def test_external_data_must_be_a_regular_file(tmp_path: Path, beside: str) -> None:
    path = outside(tmp_path / "m.onnx")
    (tmp_path / "m.data").unlink()
    (os.mkfifo if beside == "fifo" else os.mkdir)(tmp_path / "m.data")
    with pytest.raises(ModelFileError, match="in a file beside it"):
        identify(path, None)


def test_a_graph_with_a_fixed_batch_answers_all_samples_of_a_run(harness: Harness, tiny: Any, tmp_path: Path) -> None:
    model = onnx.load_from_string(official_graph(tiny))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 7  # does not divide the 64 samples
    onnx.save(model, tmp_path / "seven.onnx")
    done = harness("--data", tiny.data, "--model-file", tmp_path / "seven.onnx", "--mode", "accuracy")
    assert done.result["accuracy"]["value"] == 87.5
    assert done.result["settings"]["fixed_batch"] == 7
    assert any("batch of seven.onnx is fixed to 7" in notice["message"] for notice in done.of("notice"))
    found = harness("--model-file", tmp_path / "seven.onnx", verb="inspect-model").result
    assert found["fixed_batch"] == 7
    assert found["inputs"] == ["input_tensor:0 float32 [7, 3, 224, 224]"]


@pytest.mark.parametrize("verb", ["run", "inspect-model", "convert"])
def test_every_command_refuses_weights_that_are_not_finite(
    harness: Harness, tiny: Any, tmp_path: Path, verb: str
) -> None:
    model = onnx.load_from_string(official_graph(tiny))
    tensor = next(each for each in model.graph.initializer if each.name == "fc.weight")
    values = numpy_helper.to_array(tensor).copy()
    values[500, 3] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, "fc.weight"))
    onnx.save(model, tmp_path / "odd.onnx")
    more = {"run": ["--data", tiny.data], "convert": ["--output", tmp_path / "w.safetensors"]}.get(verb, [])
    done = harness("--model-file", tmp_path / "odd.onnx", *more, verb=verb)
    assert (done.code, done.error["details"]) == (7, ["fc.weight[500, 3] is nan"])
    assert "preprocess" not in [event.get("phase") for event in done.events]
    assert not (tmp_path / "w.safetensors").exists()


def test_a_graph_whose_batch_is_fixed_inside_ends_with_7(harness: Harness, tiny: Any, tmp_path: Path) -> None:
    model = onnx.load_from_string(official_graph(tiny))
    last = model.graph.node[-1].input[0]
    shape = numpy_helper.from_array(np.array([3]), "three")
    model.graph.initializer.append(shape)
    model.graph.node[-1].input[0] = "reshaped"
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("Reshape", [last, "three"], ["reshaped"]))
    onnx.save(model, tmp_path / "inside.onnx")
    for verb, more in (("run", ["--data", tiny.data]), ("inspect-model", [])):
        done = harness("--model-file", tmp_path / "inside.onnx", *more, verb=verb)
        assert done.code == 7
        assert "inside.onnx cannot be run on samples" in done.error["message"]


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_tables_of_other_types_are_read_and_looked_at(tmp_path: Path, kind: str) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(getattr(TensorProto, {"float64": "DOUBLE"}.get(kind, kind.upper())))
    path = outside(tmp_path / "m.onnx", WEIGHT.astype(dtype))
    for file in (path, tmp_path / "one.onnx"):
        (name, array), *_ = onnx_files.weights(file, onnx_files.load_model(file))
        np.testing.assert_array_equal(numbers.as_float32(array), WEIGHT.astype(dtype).astype(np.float32))
        write_onnx(tmp_path / "one.onnx", weight=WEIGHT.astype(dtype))
    odd = WEIGHT.astype(dtype)
    odd[2, 1] = np.nan
    outside(path, odd)
    with pytest.raises(ModelFileError, match="not finite") as raised:
        numbers.refuse_not_finite("m.onnx", onnx_files.weights(path, onnx_files.load_model(path)))
    assert (name, raised.value.details) == ("w", ("w[2, 1] is nan",))


def test_half_floats_from_a_graph_become_weights_that_run(harness: Harness, tiny: Any, tmp_path: Path) -> None:
    model = onnx.load_from_string(official_graph(tiny))
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    onnx.save(model, tmp_path / "half.onnx")
    output = tmp_path / "w.safetensors"
    assert harness("--model-file", tmp_path / "half.onnx", "--output", output, verb="convert").code == 0
    done = harness("--data", tiny.data, "--model-file", output, "--mode", "accuracy")
    assert done.result["accuracy"]["value"] == 87.5


def test_a_file_beside_a_graph_that_is_a_link_to_itself(tmp_path: Path) -> None:
    path = outside(tmp_path / "m.onnx")
    (tmp_path / "m.data").unlink()
    (tmp_path / "m.data").symlink_to("m.data")
    for reader in (lambda: identify(path, None), lambda: onnx_files.load_graph(path)):
        with pytest.raises(ModelFileError, match=r"m\.data"):
            reader()


def test_only_what_outputs_wrote_is_compared(harness: Harness, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    weights.write(tmp_path / "other", {"w": WEIGHT})
    weights.write(tmp_path / "flat", {"logits:0": BIAS})
    logits = np.ones((2, 1001), dtype=np.float32)
    weights.write(tmp_path / "good", {"logits:0": logits})
    logits[1, 7] = np.nan
    safetensors.numpy.save_file({"logits:0": logits}, tmp_path / "odd")
    for name, said in (("fifo", "FIFO"), ("other", "does not hold"), ("flat", "no model file"), ("odd", "not finite")):
        done = harness(tmp_path / name, tmp_path / ("flat" if name == "flat" else "good"), verb="parity")
        assert (done.code, said in done.error["message"]) == (7, True), done.error
    assert harness(tmp_path / "good", tmp_path / "good", verb="parity").result["agreement"] == 1.0
