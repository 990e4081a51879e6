"""Small files that others may have written: what is no file, endless or too deep neither hangs nor ends as a bug."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mlperf_docker.bundle import manifest
from mlperf_docker.errors import BundleError, UsageError
from mlperf_docker.evidence import records
from mlperf_docker.inputs import checksums
from mlperf_docker.inputs.datasets import unpacking
from mlperf_docker.system import paths, small_file

ODD: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
    "deep": lambda path: path.write_text('{"a":' * 100_000, encoding="utf-8"),
    "bytes": lambda path: path.write_bytes(b"\xff\x00"),
    "list": lambda path: path.write_text("[[1]]", encoding="utf-8"),
}
every_odd_file = pytest.mark.parametrize("make", ODD.values(), ids=ODD)


def test_a_small_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert small_file.read(path, 5) == b"12345"
    with pytest.raises(small_file.UnfitError, match="more than 4 bytes"):
        small_file.read(path, 4)
    with pytest.raises(FileNotFoundError):
        small_file.read(tmp_path / "none")


@every_odd_file
def test_an_odd_file_in_place_of_a_record_of_evidence_is_refused(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    make(tmp_path / "evidence.json")
    with pytest.raises(UsageError, match=r"evidence\.json"):
        records.read(tmp_path / "evidence.json")


@every_odd_file
def test_an_odd_file_in_place_of_a_manifest_is_refused(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / manifest.MANIFEST)
    with pytest.raises(BundleError):
        manifest.read(tmp_path)


@every_odd_file
def test_the_index_of_checksums(
    make: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    paths.cache_dir()
    make(paths.cache_place() / "checksums.json")
    assert checksums.remembered(Path(__file__)) == {}
    assert checksums.of(Path(__file__), ("md5",))["md5"]


@every_odd_file
def test_an_odd_file_in_place_of_an_archives_record_counts_as_none(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    make(unpacking.record_of(tmp_path, "a.tar"))
    assert not unpacking.is_unpacked(tmp_path, "a.tar", None)
