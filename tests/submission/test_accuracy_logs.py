"""Accuracy logs as a tree has them."""

import hashlib
import re
from pathlib import Path

import pytest

from mlperf_docker.submission import accuracy_logs


@pytest.mark.parametrize("size", [0, 1, 4096, 10240])
def test_a_log_within_the_limit_stays_as_it_is(size: int, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * size)
    assert accuracy_logs.shortened(tmp_path / "log", 10240) == b"x" * size


@pytest.mark.parametrize("size", [10241, 100_000])
def test_a_longer_log_keeps_beginning_and_end(size: int, tmp_path: Path) -> None:
    data = bytes(range(256)) * 400
    (tmp_path / "log").write_bytes(data[:size])
    short = accuracy_logs.shortened(tmp_path / "log", 10240)
    assert len(short) <= 10240
    assert short.startswith(data[:4096])
    assert short.endswith(data[:size][-4096:])


def test_accuracy_txt_has_score_and_checksum_on_lines_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"[]\n")
    lines = accuracy_logs.with_checksum("accuracy=87.500%, good=56, total=64\n", tmp_path / "log").splitlines()
    assert lines[0] == "accuracy=87.500%, good=56, total=64"
    assert re.fullmatch("hash=([0-9a-f]{64})", lines[-1])
    assert lines[-1].removeprefix("hash=") == hashlib.sha256(b"[]\n").hexdigest()


def test_accuracy_txt_without_a_score_has_the_checksum_alone(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    assert accuracy_logs.with_checksum("", tmp_path / "log").startswith("hash=")
