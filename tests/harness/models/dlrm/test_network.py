"""DLRM's network against a second implementation, on all backends; files that hold its weights; where tables go."""

import importlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat, SyntheticSize
from mlperf_docker.harness.api import named_weights
from mlperf_docker.harness.api.backend import Backend, LoadRequest, Predictor
from mlperf_docker.harness.api.errors import DeviceError, DeviceMemoryError, ModelFileError
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures import dlrm
from mlperf_docker.harness.backends import registry
from mlperf_docker.harness.models.dlrm import lookup, placement
from mlperf_docker.harness.models.dlrm import network as networks
from mlperf_docker.harness.models.dlrm.benchmark import Dlrm
from mlperf_docker.harness.models.dlrm.placement import Table
from mlperf_docker.harness.models.dlrm.synthetic import OFFICIAL_ROWS, RECIPES, DlrmRecipe, draw_rows, draw_weights
from mlperf_docker.harness.system import gpu
from mlperf_docker.harness.weights import safetensors as weight_files
from tests.harness.installed import BACKENDS
from tests.harness.models.dlrm.reference import Reference, predict

Arrays = dict[str, NDArray[Any]]

RECIPE = replace(RECIPES[SyntheticSize.TINY], count=4, limit=200)
ROWS = draw_rows(RECIPE, 5, 1000)
DENSE = np.log(ROWS[:, 1:14].astype(np.float32) + 1)
IDS = np.ascontiguousarray(ROWS[:, 14:])


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return dict(draw_weights(RECIPE, 3))


def reference(arrays: Arrays, recipe: DlrmRecipe) -> Reference:
    network = Reference(recipe.rows, recipe.config.bottom, recipe.config.top)
    network.load_state_dict({name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()})
    return network


def load(network: Network, name: str, threads: int = 2) -> Predictor:
    return backend(name).load(LoadRequest(network, network.interface.fetching("pred"), Device.CPU, threads))


@cache
def backend(name: str) -> Backend:
    return registry.load(name)


def test_the_full_network_has_the_official_weights() -> None:
    shapes = named_weights.declared(lambda ops, w: dlrm.weights_of(ops, w, dlrm.FULL))
    assert dlrm.FULL.interacted == 479
    assert {name: shape for name, shape in shapes.items() if name.endswith("weight")} == {
        "bot_l.0.weight": (512, 13),
        "bot_l.2.weight": (256, 512),
        "bot_l.4.weight": (128, 256),
        "top_l.0.weight": (1024, 479),
        "top_l.2.weight": (1024, 1024),
        "top_l.4.weight": (512, 1024),
        "top_l.6.weight": (256, 512),
        "top_l.8.weight": (1, 256),
    }
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 171_392 + 2_197_505
    assert sum(OFFICIAL_ROWS) == 187_767_399


def test_pairs_go_row_by_row_below_the_diagonal() -> None:
    assert dlrm.pairs(4).tolist() == [4, 8, 9, 12, 13, 14]


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("kind", ["float32", "float16"])
@pytest.mark.parametrize("mapped", [False, True], ids=["arrays", "file"])
def test_predictions_are_those_of_the_reference(
    arrays: Arrays, tmp_path: Path, name: str, kind: str, mapped: bool
) -> None:
    given = {key: array.astype(kind) if networks.TABLE.match(key) else array for key, array in arrays.items()}
    if mapped:
        weight_files.write(tmp_path / "w.safetensors", given)
        given = weight_files.mapped(tmp_path / "w.safetensors")
    expected = predict(reference(given, RECIPE), DENSE, IDS)
    assert expected.std() > 0.05
    run = load(networks.checked(given, "w"), name).predict
    for count in (len(IDS), 1, 3):
        (found,) = run((DENSE[:count], IDS[:count]))
        np.testing.assert_allclose(found, expected[:count], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_tables_of_one_file_are_looked_up_as_one(arrays: Arrays, tmp_path: Path, kind: str) -> None:
    kinds = {key: kind for key in arrays if networks.TABLE.match(key)}
    weight_files.write(tmp_path / "w.safetensors", arrays, kinds)
    given = weight_files.mapped(tmp_path / "w.safetensors")
    tables = [given[networks.table_name(number)] for number in range(26)]
    whole = lookup.JoinedTables.of(tables)
    assert whole is not None
    for table, start in zip(tables, whole.starts, strict=True):
        assert np.shares_memory(whole.rows[start], table[0])
        np.testing.assert_array_equal(whole.rows[start : start + len(table)], table)
    assert lookup.JoinedTables.of([arrays[networks.table_name(number)] for number in range(26)]) is None
    apart = [weight_files.mapped(tmp_path / "w.safetensors")[networks.table_name(number)] for number in range(26)]
    assert lookup.JoinedTables.of(apart) is None


@pytest.mark.parametrize("name", BACKENDS)
def test_predictions_stay_the_same_where_a_device_has_a_part_of_the_tables(arrays: Arrays, name: str) -> None:
    expected = predict(reference(arrays, RECIPE), DENSE, IDS)
    resident = [RECIPE.rows[table] if table % 3 == 0 else RECIPE.rows[table] // 2 for table in range(26)]
    resident[1] = 0
    network = networks.split_network(arrays, RECIPE.config, tuple(resident))
    for table, rows in enumerate(resident):  # the device must not have, or need, more than the plan says
        assert len(network.arrays.get(networks.table_name(table), ())) == rows
    (found,) = load(network, name).predict((DENSE, IDS))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    everything = networks.split_network(arrays, RECIPE.config, RECIPE.rows)
    np.testing.assert_allclose(load(everything, name).predict((DENSE, IDS))[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["onnxruntime", "tensorflow"])
def test_tables_that_are_too_large_for_a_graph_stand_beside_it(
    arrays: Arrays, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    importlib.import_module(f"mlperf_docker.harness.ops.{name.removesuffix('runtime')}")
    limit = {"onnxruntime": "onnx.SHARED", "tensorflow": "tensorflow.LARGE"}[name]
    monkeypatch.setattr(f"mlperf_docker.harness.ops.{limit}", 200 * 16 * 4)
    expected = predict(reference(arrays, RECIPE), DENSE, IDS)
    network = networks.split_network(arrays, RECIPE.config, RECIPE.rows)
    np.testing.assert_allclose(load(network, name).predict((DENSE, IDS))[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", BACKENDS)
def test_answers_are_left_alone_by_the_next_batch(arrays: Arrays, name: str) -> None:
    run = load(networks.checked(arrays, "w"), name, threads=1).predict
    first = run((DENSE[:300], IDS[:300]))[0]
    kept = first.copy()
    run((DENSE[300:], IDS[300:]))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("kind", ["float32", "float16"])
@pytest.mark.parametrize("device", [False, True], ids=["host", "split"])
def test_a_row_that_holds_no_number_is_found_when_its_table_is_loaded(
    arrays: Arrays, tmp_path: Path, kind: str, device: bool
) -> None:
    path, damaged = tmp_path / "w.safetensors", dict(arrays)
    weight_files.write(path, damaged, {key: kind for key in arrays if networks.TABLE.match(key)})
    found = Dlrm().read(path, ModelFormat.SAFETENSORS)
    for table, row in ((3, 0), (25, RECIPE.rows[25] - 1)):
        broken = dict(found)
        broken[networks.table_name(table)] = found[networks.table_name(table)].copy()
        broken[networks.table_name(table)][row, 2] = np.inf
        network = networks.checked(broken, str(path))
        assert isinstance(network.front, lookup.Lookup)
        if device:
            half = tuple(rows // 2 for rows in RECIPE.rows)
            network = networks.split_network(broken, RECIPE.config, half, network.front.population)
        with pytest.raises(ModelFileError, match=str(path)) as caught:
            load(network, "onnxruntime", threads=2)
        assert caught.value.details == (f"emb_l.{table}.weight[{row}, 2] is inf",)


def test_layers_may_be_saved_in_other_types_and_large_tables_may_not(
    arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.safetensors"
    state = {f"module.{name}": torch.from_numpy(array).bfloat16() for name, array in arrays.items()}
    safetensors.torch.save_file(state, path)
    found = Dlrm().network(Dlrm().read(path, ModelFormat.SAFETENSORS), str(path))
    assert found.form.rows == RECIPE.rows
    monkeypatch.setattr(weight_files, "WIDENED_MOST", 4000)
    with pytest.raises(ModelFileError, match="need") as caught:
        Dlrm().read(path, ModelFormat.SAFETENSORS)
    assert "emb_l.2.weight: BF16" in caught.value.details


def checkpoint(arrays: Arrays, path: Path, **more: Any) -> None:
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    torch.save({"state_dict": state, "nepochs": 1, "test_auc": 0.8, "opt_state_dict": {"lr": 0.1}, **more}, path)


def graph(arrays: Arrays, path: Path) -> None:
    """Initializers as the official archive has them: small ones inside, tables in files beside the graph."""
    tensors = []
    for name, array in arrays.items():
        tensor = numpy_helper.from_array(array, name)
        if networks.TABLE.match(name):
            array.tofile(path.parent / name)
            onnx.external_data_helper.set_external_data(tensor, location=name)
            tensor.data_location = TensorProto.EXTERNAL
            tensor.ClearField("raw_data")
        tensors.append(tensor)
    tensors.append(numpy_helper.from_array(np.array([1, 2]), "shape"))
    empty = helper.make_graph([], "dlrm", [], [], tensors)
    path.write_bytes(helper.make_model(empty).SerializeToString())


@pytest.mark.parametrize("kind", [ModelFormat.STATE_DICT, ModelFormat.ONNX, ModelFormat.SAFETENSORS])
def test_weights_are_mapped_out_of_every_official_file(arrays: Arrays, tmp_path: Path, kind: ModelFormat) -> None:
    path = tmp_path / {"state-dict": "tb00_40M.pt", "onnx": "tb00_40M.onnx", "safetensors": "w.safetensors"}[kind]
    {ModelFormat.STATE_DICT: checkpoint, ModelFormat.ONNX: graph}.get(kind, lambda a, p: weight_files.write(p, a))(
        arrays, path
    )
    found = Dlrm().read(path, kind)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    model = Dlrm().network(found, str(path))
    assert model.form.rows == RECIPE.rows
    if kind is not ModelFormat.STATE_DICT:
        assert isinstance(found["emb_l.0.weight"], np.memmap)


def test_a_graph_without_its_tables_says_so(arrays: Arrays, tmp_path: Path) -> None:
    graph(arrays, tmp_path / "m.onnx")
    (tmp_path / "emb_l.3.weight").unlink()
    with pytest.raises(ModelFileError, match=r"emb_l\.3\.weight: missing") as raised:
        Dlrm().read(tmp_path / "m.onnx", ModelFormat.ONNX)
    assert "unpack all of them into one folder" in (raised.value.hint or "")


def test_weights_of_another_network_are_refused_with_every_difference(arrays: Arrays) -> None:
    with pytest.raises(ModelFileError, match="0 tables"):
        Dlrm().network({"fc.weight": np.zeros((2, 2), np.float32)}, "w")
    wrong = {**arrays, "emb_l.5.weight": np.zeros((9, 3), np.float32), "extra": np.zeros(1, np.float32)}
    del wrong["bot_l.0.bias"]
    with pytest.raises(ModelFileError, match="1 missing, 1 misshapen, 1 unused"):
        Dlrm().network(wrong, "w")
    mixed = {**arrays, "emb_l.5.weight": arrays["emb_l.5.weight"].astype(np.float16)}
    with pytest.raises(ModelFileError, match="all float32 or all float16") as raised:
        Dlrm().network(mixed, "w")
    assert raised.value.details == ("emb_l.5.weight: float16",)
    with pytest.raises(ModelFileError, match="another DLRM") as raised:
        Dlrm().network({**arrays, "top_l.0.weight": np.zeros((64, 366), np.float32)}, "w")
    assert "366" in raised.value.details[0]


def test_shorter_tables_take_ids_modulo_their_length(arrays: Arrays) -> None:
    model = Dlrm(limit=50).network(arrays, "w")
    assert model.form.rows == tuple(min(rows, 50) for rows in RECIPE.rows)
    assert model.form.wrap == 50
    assert isinstance(model.source, Network)
    expected = predict(reference(arrays, RECIPE), DENSE, IDS % 50)
    np.testing.assert_allclose(load(model.source, "onnxruntime").predict((DENSE, IDS % 50))[0], expected, atol=1e-5)


OFFICIAL = tuple(Table(rows, 512) for rows in OFFICIAL_ROWS)
HALF = tuple(Table(rows, 256) for rows in OFFICIAL_ROWS)
GB = 10**9


def test_official_tables_are_as_large_as_published() -> None:
    assert sum(table.bytes for table in OFFICIAL) == 96_136_908_288
    assert placement.plan(OFFICIAL, Device.CPU, host_free=100 * GB).host_bytes == 96_136_908_288


@pytest.mark.parametrize(
    ("tables", "device", "host", "gpu"),
    [
        (OFFICIAL, Device.CPU, 96, 0),  # some must be left for the harness
        (HALF, Device.CPU, 48, 0),
        (OFFICIAL, Device.CUDA, 15, 80),
        (OFFICIAL, Device.CUDA, 64, 24),
    ],
)
def test_tables_that_do_not_fit_are_refused(tables: tuple[Table, ...], device: Device, host: int, gpu: int) -> None:
    with pytest.raises(DeviceMemoryError, match="do not fit") as raised:
        placement.plan(tables, device, host_free=host * GB, device_free=gpu * GB)
    assert "fp16" in (raised.value.hint or "")
    assert raised.value.details[0].startswith("tables: 187767399 rows")


def test_a_large_gpu_gets_everything_and_a_smaller_one_the_first_rows() -> None:
    everything = placement.plan(OFFICIAL, Device.CUDA, host_free=2 * GB, device_free=140 * GB)
    assert everything.resident == OFFICIAL_ROWS
    assert everything.host_bytes == 0
    whole = placement.plan(HALF, Device.CUDA, host_free=2 * GB, device_free=80 * GB)
    assert whole.resident == OFFICIAL_ROWS
    part = placement.plan(OFFICIAL, Device.CUDA, host_free=100 * GB, device_free=24 * GB)
    small = [table for table in range(26) if part.resident[table] == OFFICIAL_ROWS[table]]
    assert set(range(26)) - set(small) == {0, 9, 19, 21}
    assert 21.8 * GB < part.device_bytes <= 24 * GB - placement.DEVICE_RESERVE
    shares = [part.resident[table] / OFFICIAL_ROWS[table] for table in (0, 9, 19, 21)]
    assert max(shares) - min(shares) < 1e-6
    said = "\n".join(part.lines)
    assert "22 whole tables, 15.21 GB" in said
    assert "table 19: first " in said
    assert f"in all: {part.device_bytes / GB:.2f} GB on the GPU, {part.host_bytes / GB:.2f} GB with the host" in said


def test_the_plan_goes_by_the_files_header_and_is_carried_out(
    arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.safetensors"
    weight_files.write(path, arrays)
    monkeypatch.setattr(placement, "DEVICE_RESERVE", 0)
    monkeypatch.setattr("mlperf_docker.harness.system.gpu.free_bytes", lambda _device, number: 150_000)
    plan = Dlrm().plan(path, Device.CUDA)
    assert 140_000 < plan.device_bytes <= 150_000
    placed = plan.place(Dlrm().network(Dlrm().read(path, ModelFormat.SAFETENSORS), "w"))
    assert isinstance(placed.source, Network)
    expected = predict(reference(arrays, RECIPE), DENSE, IDS)
    np.testing.assert_allclose(load(placed.source, "pytorch").predict((DENSE, IDS))[0], expected, atol=1e-5)
    monkeypatch.setattr("mlperf_docker.harness.models.dlrm.benchmark.free_memory", lambda: 1 << 30)
    with pytest.raises(DeviceMemoryError, match="do not fit"):
        Dlrm().plan(path, Device.CPU)


def test_a_gpu_that_nobody_knows_of_is_a_device_error() -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is a GPU")
    with pytest.raises(DeviceError, match="does not tell how much memory"):
        gpu.free_bytes(Device.CUDA)
