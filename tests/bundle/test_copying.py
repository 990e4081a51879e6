"""Copies into a bundle and out of it: hashed on the way, and never over what is there."""

import hashlib
from pathlib import Path

import pytest

from mlperf_docker.bundle import loading
from mlperf_docker.bundle.copying import copy
from mlperf_docker.bundle.manifest import File
from mlperf_docker.errors import BundleError
from tests.fakes.engine import FakeDisplay

CONTENT = bytes(range(256)) * 10_000  # more than two chunks


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_copy_knows_its_size_and_checksum_and_tells_how_far_it_is(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(CONTENT)
    told: list[tuple[int, int]] = []
    done = copy(source, target, lambda *each: told.append(each))
    assert target.read_bytes() == CONTENT
    assert (done.size_bytes, done.sha256) == (len(CONTENT), sha256(CONTENT))
    assert told == [(2**20, len(CONTENT)), (2**21, len(CONTENT)), (len(CONTENT), len(CONTENT))]
    source.write_bytes(b"other")
    with pytest.raises(FileExistsError):
        copy(source, target, lambda *_: None)
    assert target.read_bytes() == CONTENT


def test_a_model_file_gets_its_name_when_its_checksum_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a loading that was killed left beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    entry = File(path="models/bert/model.onnx", size_bytes=len(CONTENT), sha256=sha256(CONTENT))
    place, source = loading.place_of(entry), tmp_path / "bundle" / entry.path
    for folder in (place.parent, source.parent):
        folder.mkdir(parents=True)
    place.with_name(".model.onnx.loading").write_bytes(b"left behind" * 2**20)
    source.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(BundleError, match="changed while it was loaded"):
        loading.place(entry, tmp_path / "bundle", FakeDisplay())
    assert [each.name for each in place.parent.iterdir() if each.name.endswith((".onnx", ".loading"))] == []
    place.with_name(".model.onnx.loading").write_bytes(b"left behind" * 2**20)
    source.write_bytes(CONTENT)
    loading.place(entry, tmp_path / "bundle", FakeDisplay())
    assert place.read_bytes() == CONTENT
    assert [each.name for each in place.parent.iterdir() if "loading" in each.name] == []
