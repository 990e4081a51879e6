"""Checkpoints: every layout that the official files have, and what is wrong with a bad one."""

import argparse
import os
import pickle
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.weights.model_files import identify
from mlperf_docker.harness.weights.state_dict import read, read_archive

RNG = np.random.default_rng(3)
WEIGHT = RNG.standard_normal((4, 3), dtype=np.float32)


def state() -> dict[str, Any]:
    weight = torch.from_numpy(WEIGHT)
    return {"fc.weight": weight, "fc.turned": weight.t(), "bn.num_batches_tracked": torch.tensor(7)}


def failure(path: Path, key: str | None = None) -> ModelFileError:
    with pytest.raises(ModelFileError) as caught:
        read(path, key=key)
    return caught.value


@pytest.mark.parametrize("modern", [True, False], ids=["zip", "legacy"])
def test_weights_come_out_of_both_formats(tmp_path: Path, modern: bool) -> None:
    path = tmp_path / "model.pth"
    torch.save(state(), path, _use_new_zipfile_serialization=modern)
    found = read(path)
    assert sorted(found) == ["fc.turned", "fc.weight"]
    np.testing.assert_array_equal(found["fc.weight"], WEIGHT)
    np.testing.assert_array_equal(found["fc.turned"], WEIGHT.T)
    assert found["fc.turned"].flags.c_contiguous


def test_a_training_checkpoint_is_read_below_its_key(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    parallel = {f"module.{name}": tensor for name, tensor in state().items()}
    options = argparse.Namespace(epochs=10, device=torch.device("cpu"))
    rest = {"optimizer": {"state": {}}, "args": options, "epoch": 9, "best": np.float64(0.37)}
    torch.save({"model": parallel, **rest}, path)
    np.testing.assert_array_equal(read(path, key="model")["fc.weight"], WEIGHT)
    for elsewhere in (None, "state_dict"):  # there is just one place with weights
        np.testing.assert_array_equal(read(path, key=elsewhere)["fc.weight"], WEIGHT)
    kept = {"optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}}, "rng": torch.zeros(9, dtype=torch.uint8)}
    torch.save({"net": {"weights": state()}, "model": "resnet", **kept}, path)
    np.testing.assert_array_equal(read(path, key="model")["fc.weight"], WEIGHT)


def test_weights_in_two_places_are_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"model": state(), "ema": {"decay": 0.9, "shadow": state()}}, path)
    assert sorted(read(path, key="model")) == ["fc.turned", "fc.weight"]
    refused = failure(path)
    assert refused.details == ("['model']", "['ema']['shadow']")
    assert "torch.save(torch.load(FILE)['model']" in (refused.hint or "")
    torch.save({**state(), "epoch": 3}, path)
    assert failure(path).details == ("epoch: int",)


def test_a_prefix_of_only_some_names_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, path)
    assert sorted(read(path)) == ["b", "module.a"]


def test_the_only_checkpoint_in_an_archive_is_read(tmp_path: Path) -> None:
    inner, outer = tmp_path / "retinanet_model_10.pth", tmp_path / "retinanet_model_10.zip"
    torch.save({"model": state()}, inner)
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(inner, "folder/retinanet_model_10.pth")
        archive.writestr("__MACOSX/folder/._retinanet_model_10.pth", b"junk")
        archive.writestr("README.txt", b"words")
    np.testing.assert_array_equal(read(outer, key="model")["fc.weight"], WEIGHT)
    with zipfile.ZipFile(outer, "a") as archive:
        archive.write(inner, "another.pth")
    two = failure(outer, "model")
    assert "just one checkpoint" in str(two)
    assert "another.pth" in two.details


def test_other_floating_types_become_float32(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    kinds = {"half": torch.float16, "brain": torch.bfloat16, "double": torch.float64}
    whole = {"integer": torch.arange(3), "flag": torch.tensor([True])}
    torch.save({**{name: torch.tensor([1.5, -2.0]).to(kind) for name, kind in kinds.items()}, **whole}, path)
    found = read(path)
    for name in kinds:
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], [1.5, -2.0])
    assert [str(found[name].dtype) for name in whole] == ["int64", "bool"]


def test_a_zip_is_mapped_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(state(), path)
    before = path.read_bytes()
    found = read(path)["fc.weight"]
    found[:] = 0
    assert path.read_bytes() == before
    assert "model.pth" in Path("/proc/self/maps").read_text()


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


def test_code_in_a_file_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pth"
    for modern in (True, False):
        torch.save({"a": torch.ones(1), "b": Evil()}, path, _use_new_zipfile_serialization=modern)
        refused = failure(path)
        assert "wants to make an object of the class posix.mkdir" in str(refused)
    assert not (tmp_path / "ran").exists()


def test_a_whole_module_is_refused_by_its_class(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    refused = failure(path)
    assert "torch.nn.modules.linear.Linear" in str(refused)
    assert "state_dict" in (refused.hint or "")


@pytest.mark.parametrize("modern", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.95])
def test_a_truncated_file_says_how_long_it_is(tmp_path: Path, modern: bool, kept: float) -> None:
    path = tmp_path / "model.pth"
    torch.save(state(), path, _use_new_zipfile_serialization=modern)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    broken = failure(path)
    if not path.stat().st_size:
        assert "is empty" in str(broken)
        return
    assert f"({path.stat().st_size} bytes)" in str(broken)
    assert "truncated" in (broken.hint or "")
    assert "\n" not in str(broken)


@pytest.mark.parametrize("content", [b"hello world" * 20, b"<!DOCTYPE html><html>", pickle.dumps([1, 2]), b"\x80\x02."])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    assert "is no checkpoint that PyTorch can read" in str(failure(path))


def test_a_damaged_archive_is_found_out(tmp_path: Path) -> None:
    inner, outer = tmp_path / "model.pth", tmp_path / "model.zip"
    torch.save({"a": torch.arange(10000)}, inner)
    with zipfile.ZipFile(outer, "w") as archive:
        archive.write(inner, "model.pth")
    data = bytearray(outer.read_bytes())
    data[len(data) // 2] ^= 0xFF
    outer.write_bytes(data)
    assert "is no whole zip archive" in str(failure(outer))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_member_whose_compression_is_damaged_is_found_out(tmp_path: Path, method: int) -> None:
    inner, outer = tmp_path / "model.pth", tmp_path / "model.zip"
    torch.save({"a": torch.randn(10000)}, inner)
    for at in range(100, 2000, 100):
        with zipfile.ZipFile(outer, "w", method) as archive:
            archive.write(inner, "model.pth")
        data = bytearray(outer.read_bytes())
        data[at : at + 40] = bytes(40)
        outer.write_bytes(data)
        assert "is no whole zip archive" in str(failure(outer))


@pytest.mark.parametrize("content", [{}, [1, 2], {"model": {}}], ids=["empty", "list", "nested"])
def test_a_file_without_weights_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "model.pth"
    torch.save(content, path)
    assert "weights" in str(failure(path))


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"a": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, path)
    assert failure(path).details == ("a: quantised, torch.qint8",)


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        (lambda: torch.empty(2, 3, device="meta"), "without values"),
        (lambda: torch.zeros(2, dtype=torch.complex64), "complex"),
        (lambda: torch.eye(3).to_sparse(), "sparse"),
        (lambda: torch.ones(1).expand(10**6, 10**6), "overlap"),
        (lambda: torch.arange(10.0).as_strided((3, 3), (2, 1)), "overlap"),
    ],
    ids=["meta", "complex", "sparse", "expanded", "strided"],
)
def test_tensors_that_are_no_plain_numbers_are_refused(tmp_path: Path, tensor: Any, problem: str) -> None:
    path = tmp_path / "model.pth"
    torch.save({"a": tensor(), "b": torch.ones(2)}, path)
    (line,) = failure(path).details
    assert line.startswith("a: ")
    assert problem in line


def rewritten(path: Path, change: Callable[[str, bytes], bytes], kind: int = zipfile.ZIP_STORED) -> None:
    """Write the archive *path* anew, each member as *change* makes it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))


@pytest.mark.parametrize("scripted", [False, True], ids=["checkpoint", "torchscript"])
def test_a_tensor_whose_bytes_are_not_all_there_does_not_go_on_in_the_next_one(tmp_path: Path, scripted: bool) -> None:
    path = tmp_path / "model.pth"
    layer = torch.nn.Linear(30, 20)
    if scripted:
        torch.jit.trace(layer, torch.ones(1, 30)).save(path)
    else:
        torch.save(layer.state_dict(), path)
    assert sorted((read_archive if scripted else read)(path)) == ["bias", "weight"]
    rewritten(path, lambda name, content: content[:-80] if name.endswith("data/0") else content)
    with pytest.raises(ModelFileError, match="lacks a part of its weights: 1 tensors") as caught:
        (read_archive if scripted else read)(path)
    assert "data/0: 2320 bytes, not 2400" in caught.value.details[0]


def test_an_archive_that_was_compressed_afterwards_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(state(), path)
    rewritten(path, lambda _, content: content, zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(read(path)["fc.weight"], WEIGHT)


@pytest.mark.parametrize("begins", [b"", b"PK\x03\x04", b"\x80\x02"], ids=["zeros", "zip", "pickle"])
def test_an_archive_that_would_grow_without_measure_is_not_unpacked(tmp_path: Path, begins: bytes) -> None:
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("w.pth", "w") as file,
    ):
        file.write(begins)
        for _ in range(300):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    assert "would unpack to 3145728" in str(failure(path))
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("place", ["zip", "zip64", "zip64 alone"])
def test_an_archive_of_a_million_files_is_not_listed(tmp_path: Path, place: str) -> None:
    path = tmp_path / "model.pth"
    torch.save(state(), path)
    assert sorted(read(path)) == ["fc.turned", "fc.weight"]
    data = bytearray(path.read_bytes())
    end, long_end = data.rfind(b"PK\x05\x06"), data.rfind(b"PK\x06\x06")
    assert long_end > 0, "PyTorch writes both"
    size = (50 << 20).to_bytes(8, "little")
    if place != "zip64 alone":
        data[end + 12 : end + 16] = b"\xff\xff\xff\xff" if place == "zip64" else size[:4]
    if place != "zip":
        data[long_end + 40 : long_end + 48] = size
    path.write_bytes(data)
    assert "its list of files has 52428800 bytes" in str(failure(path))


def test_a_pickle_that_asks_for_much_memory_gets_none(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(state(), path)
    put = b"\x80\x02N" + b"r\xff\xff\xff\x7f" + b"."  # one object, kept as number two billion
    rewritten(path, lambda name, content: put if name.endswith("data.pkl") else content)
    assert "weights" in str(failure(path))
    rewritten(path, lambda name, content: b"\x80\x02" + b"N0" * (5 << 20) if name.endswith("data.pkl") else content)
    assert "data.pkl has 10485762 bytes" in str(failure(path))


def test_without_pytorch_the_image_to_use_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pth"
    torch.save(state(), path)
    monkeypatch.setitem(sys.modules, "torch", None)
    absent = failure(path)
    assert "not installed" in str(absent)
    assert "pytorch" in (absent.hint or "")


@pytest.mark.parametrize("summed", [True, False])
def test_bytes_that_changed_after_they_were_written_are_found_where_there_are_checksums(
    tmp_path: Path, summed: bool
) -> None:
    path = tmp_path / "model.pth"
    torch.serialization.set_crc32_options(summed)
    try:
        torch.save({"w": torch.arange(1000.0)}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert identify(path, None).sha256
    data = bytearray(path.read_bytes())
    middle = data.index(np.arange(1000, dtype=np.float32)[400:500].tobytes())
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    if summed:
        with pytest.raises(ModelFileError, match="1 of its parts are damaged: model/data/0: Bad CRC"):
            identify(path, None)
    else:
        assert identify(path, None).sha256
