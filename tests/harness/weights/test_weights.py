"""Weights in files: safetensors, names, formats, and every difference from the declared ones."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray

from mlperf_docker.contract.words import ModelFormat, SyntheticSize
from mlperf_docker.harness.api import named_weights
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.architectures.resnet50 import FULL, POOL_AS_TENSORFLOW, POOL_AS_TORCH
from mlperf_docker.harness.models.resnet50 import network as networks
from mlperf_docker.harness.models.resnet50.synthetic import RECIPES, draw_weights
from mlperf_docker.harness.weights import formats, numbers, state_dict
from mlperf_docker.harness.weights import safetensors as weights
from mlperf_docker.harness.weights.model_files import identify

TINY = RECIPES[SyntheticSize.TINY].config


def test_the_full_network_has_torchvisions_weights() -> None:
    shapes = networks.shapes(FULL)
    assert len(shapes) == 267
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer3.5.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["layer4.0.bn3.running_var"] == (2048,)
    assert shapes["fc.weight"] == (1001, 2048)
    assert "layer2.1.downsample.0.weight" not in shapes
    parameters = sum(np.prod(shape) for name, shape in shapes.items() if "running" not in name)
    assert parameters == 25_557_032 + 2049  # torchvision's count, and the background class


def test_every_difference_is_reported_at_once() -> None:
    arrays = dict(draw_weights(TINY, 1))
    del arrays["bn1.bias"]
    arrays["fc.bias"] = np.zeros(7, dtype=np.float32)
    arrays["extra"] = np.zeros(1, dtype=np.float32)
    with pytest.raises(ModelFileError, match="1 missing, 1 misshapen, 1 unused") as raised:
        named_weights.check(networks.shapes(TINY), arrays, "w.safetensors")
    assert raised.value.details == (
        "missing: bn1.bias [8]",
        "shape: fc.bias should be [1001], is [7]",
        "unused: extra [1]",
    )


def test_written_weights_are_read_back(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3).T}
    weights.write(tmp_path / "w.safetensors", arrays)
    np.testing.assert_array_equal(weights.read(tmp_path / "w.safetensors")["a"], arrays["a"])


def test_written_weights_are_what_the_library_reads_and_may_be_mapped(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    arrays: dict[str, NDArray[Any]] = {
        "table": rng.standard_normal((300_000, 33), dtype=np.float32),  # several pieces
        "half": rng.standard_normal((5, 4)).astype(np.float16),
        "ids": np.arange(7),
        "scalar": np.array(3.5),
        "empty": np.zeros((0, 4), dtype=np.float32),
    }
    weights.write(tmp_path / "w.safetensors", arrays, {"half": "float32"})
    arrays["half"] = arrays["half"].astype(np.float32)
    for read in (weights.read, weights.mapped):
        found = read(tmp_path / "w.safetensors")
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)
    table = weights.mapped(tmp_path / "w.safetensors")["table"]
    assert table.__array_interface__["data"][0] % weights.ALIGNMENT == 0
    assert not table.flags.writeable


@pytest.mark.parametrize("damage", ["cut", "header", "empty"])
def test_a_damaged_file_is_not_mapped(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "w.safetensors"
    weights.write(path, {"a": np.zeros(100, dtype=np.float32)})
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-8], "header": data[:20], "empty": b""}[damage])
    with pytest.raises(ModelFileError, match="is empty" if damage == "empty" else "no safetensors file"):
        weights.mapped(path)


def test_a_damaged_file_is_named_with_its_size(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    weights.write(path, {"a": np.zeros(100, dtype=np.float32)})
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ModelFileError, match="50 bytes"):
        weights.read(path)


def test_torchvisions_head_brings_its_pooling_and_another_is_refused() -> None:
    arrays = dict(draw_weights(TINY, 1))
    assert networks.config_of(arrays, "w").pool == POOL_AS_TENSORFLOW
    arrays["fc.weight"] = arrays["fc.weight"][:1000]
    assert networks.config_of(arrays, "w").pool == POOL_AS_TORCH
    arrays["fc.weight"] = arrays["fc.weight"][:10]
    with pytest.raises(ModelFileError, match="10 classes"):
        networks.config_of(arrays, "w")


@pytest.mark.parametrize(
    "kind", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2], ids=str
)
@pytest.mark.parametrize("read", [weights.read, weights.mapped])
def test_floating_point_of_any_size_means_what_pytorch_says(
    tmp_path: Path, kind: torch.dtype, read: Callable[[Path], dict[str, NDArray[Any]]]
) -> None:
    path = tmp_path / "w.safetensors"
    codes = torch.arange(256, dtype=torch.uint8)
    values = codes.view(kind) if kind.itemsize == 1 else torch.linspace(-3, 3, 256).to(kind)
    safetensors.torch.save_file({"w": values.reshape(16, 16)}, path)
    found = numbers.as_float32(read(path)["w"])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.float().reshape(16, 16).numpy())


def test_pytorchs_prefixes_of_names_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    names = sorted(name for name in network.state_dict() if "batches" not in name)
    for wrapper in ("", "module.", "_orig_mod.", "module._orig_mod."):
        safetensors.torch.save_file({wrapper + name: t for name, t in network.state_dict().items()}, path)
        assert sorted(weights.read(path)) == sorted(weights.mapped(path)) == names
    safetensors.torch.save_file({"module.a": torch.ones(1), "b": torch.ones(1)}, path)
    assert sorted(weights.read(path)) == ["b", "module.a"]


def test_tensors_that_overlap_or_leave_holes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    content = np.zeros(4, dtype=np.float32).tobytes()
    for first, second in (((0, 8), (4, 12)), ((0, 4), (12, 16)), ((0, 8), (-8, 0)), ((0, 8), (8, 999))):
        entries = {
            name: {"dtype": "F32", "shape": [(end - start) // 4], "data_offsets": [start, end]}
            for name, (start, end) in (("a", first), ("b", second))
        }
        text = json.dumps(entries).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content)
        for read in (weights.read, weights.mapped):
            with pytest.raises(ModelFileError, match="no safetensors file"):
                read(path)


def test_a_header_larger_than_any_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    text = b"{" + b" " * (17 << 20) + b"}"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ModelFileError, match=f"its header would have {len(text)} bytes"):
        weights.read(path)


def test_types_that_nothing_reads_are_named(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file({"a": torch.ones(2, dtype=torch.complex64), "b": torch.ones(2)}, path)
    with pytest.raises(ModelFileError, match="type that is not read") as caught:
        weights.read(path)
    assert caught.value.details == ("a: C64",)
    arrays = {name: array.astype(np.int8) for name, array in draw_weights(TINY, 1).items()}
    with pytest.raises(ModelFileError, match="of another type") as caught:
        named_weights.check(networks.shapes(TINY), arrays, "w.safetensors")
    assert caught.value.details[0] == "type: conv1.weight should be float32, is int8"


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (2_999, 122), (1_234, 5)])
def test_a_single_nan_is_found_wherever_it_is(kind: type, odd: float, place: tuple[int, int]) -> None:
    array: NDArray[Any] = np.full((3000, 123), np.finfo(np.float16).max, dtype=kind)  # several pieces
    assert numbers.odd_place(array) is None
    array[place] = odd
    assert numbers.odd_place(array) == place
    assert numbers.odd_place(array.T) == place[::-1]
    with pytest.raises(ModelFileError, match=r"^w.pth .*in 1 tensor") as caught:
        numbers.refuse_not_finite("w.pth", [("a", np.ones(3)), ("b", array)])
    assert caught.value.details == (f"b[{place[0]}, {place[1]}] is {array[place]}",)


def test_a_number_too_large_for_the_type_that_it_is_written_in_is_not_written(tmp_path: Path) -> None:
    table = np.full((20_000, 64), 1.0, dtype=np.float32)
    table[19_999, 3] = 70_000
    weights.write(tmp_path / "w.safetensors", {"t": table})
    with pytest.raises(
        ModelFileError, match="t of the result has numbers that are not finite, or too large for float16"
    ):
        weights.write(tmp_path / "half.safetensors", {"t": table}, {"t": "float16"})


READERS = {ModelFormat.SAFETENSORS: weights.read, ModelFormat.STATE_DICT: state_dict.read}


@pytest.mark.parametrize("found", READERS, ids=str)
def test_weights_are_read_alike_whatever_they_are_saved_in(tmp_path: Path, found: ModelFormat) -> None:
    path = tmp_path / "w"
    save = safetensors.torch.save_file if found is ModelFormat.SAFETENSORS else torch.save
    for kind in (torch.float16, torch.bfloat16, torch.float64, torch.float32):
        save({"module.w": torch.tensor([0.5, -2.0], dtype=kind)}, path)
        arrays = formats.read_weights(READERS, "some", path, found)
        assert arrays["w"].dtype == np.float32
        np.testing.assert_array_equal(arrays["w"], [0.5, -2.0])
    save({"w": torch.tensor([1e300, 1.0], dtype=torch.float64)}, path)
    with pytest.raises(ModelFileError, match="not finite") as caught:
        formats.read_weights(READERS, "some", path, found)
    assert caught.value.details == ("w[0] is inf",)
    assert formats.read_weights(READERS, "some", path, found, left=lambda name: name == "w")


def odd_files(folder: Path) -> Iterator[Path]:
    (folder / "folder.safetensors").mkdir()
    os.mkfifo(folder / "fifo.safetensors")
    (folder / "endless.safetensors").symlink_to("/dev/zero")
    (folder / "circle.safetensors").symlink_to("circle.safetensors")
    (folder / "empty.safetensors").touch()
    yield from sorted(folder.iterdir())
    yield folder / "missing.safetensors"
    yield folder / f"{'long' * 100}.safetensors"


def test_all_readers_of_weights_refuse_odd_files(tmp_path: Path) -> None:
    for path in odd_files(tmp_path):
        for opener in (weights.read, weights.mapped, formats.detect, lambda path: identify(path, None)):
            with pytest.raises(ModelFileError, match="the model file"):
                opener(path)
        other = path.with_suffix(".pth")
        if os.path.lexists(path):
            path.rename(other)
        for opener in (state_dict.read, state_dict.read_archive, formats.detect):
            with pytest.raises(ModelFileError, match="the model file"):
                opener(other)
