from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.harness import weights
from mlperf_docker.harness.architectures.resnet50 import FULL, POOL_AS_TENSORFLOW, POOL_AS_TORCH
from mlperf_docker.harness.errors import ModelFileError
from mlperf_docker.harness.models.resnet50 import network as networks
from mlperf_docker.harness.models.resnet50.synthetic import RECIPES, draw_weights
from mlperf_docker.harness.names import SyntheticSize

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
        weights.check(networks.shapes(TINY), arrays, "w.safetensors")
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
    weights.populate(table[10:])
    assert not table.flags.writeable


@pytest.mark.parametrize("damage", ["cut", "header", "empty"])
def test_a_damaged_file_is_not_mapped(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "w.safetensors"
    weights.write(path, {"a": np.zeros(100, dtype=np.float32)})
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-8], "header": data[:20], "empty": b""}[damage])
    with pytest.raises(ModelFileError, match="no safetensors file"):
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
