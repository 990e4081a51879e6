"""Data files of any kind and content: read where they are what they should be, else one error that names the place."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from mlperf_docker.harness.api.errors import BadSample, DatasetError
from mlperf_docker.harness.models import registry
from mlperf_docker.harness.models.dlrm.dataset import BINARY
from mlperf_docker.harness.system import data_files

Make = Callable[[Path], object]


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda p: os.mkfifo(p), "a FIFO, not a regular file"),
        (bound, "a socket, not a regular file"),
        (lambda p: p.mkdir(), "a folder, not a regular file"),
        (lambda p: p.symlink_to("/dev/zero"), "a device, not a regular file"),
        (lambda p: p.symlink_to(p), "Too many levels of symbolic links"),
    ],
)
def test_only_regular_files_are_opened(tmp_path: Path, make: Make, problem: str) -> None:
    path = tmp_path / "f"
    make(path)
    with pytest.raises(DatasetError, match=problem) as raised:
        data_files.read_bytes(path)
    assert str(path) in str(raised.value)
    with pytest.raises(BadSample, match=problem):
        data_files.status(path)


def test_a_file_that_is_not_there_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "file").touch()
    for path in (tmp_path / "none", tmp_path / "dangling", tmp_path / "file" / "below"):
        with pytest.raises(data_files.MissingFile, match="is missing"):
            data_files.read_bytes(path)
    with pytest.raises(BadSample, match="null"):
        data_files.status(Path("a\0b"))


def test_links_are_followed_and_bytes_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1234")
    (tmp_path / "link").symlink_to("f")
    assert data_files.read_bytes(tmp_path / "link", most=4) == b"1234"
    with pytest.raises(DatasetError, match="link is too large: more than"):
        data_files.read_bytes(tmp_path / "link", most=3)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert data_files.read_text(path) == "[1]"
    assert data_files.read_json(path) == [1]
    path.write_bytes("[1]".encode("utf-16"))
    with pytest.raises(DatasetError, match=r"is not UTF-8: .* at byte 0"):
        data_files.read_json(path)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ('[{"a": NaN}]', "entry 0.a", "no finite number"),
        ('{"a": [1, -Infinity]}', "a[1]", "no finite number"),
        ('{"images": [{}, {"x": 1e999}]}', "image 1.x", "no finite number"),
        ('{"a": 9223372036854775808}', "a", "no number of up to 64 bits"),
        ('{"a": ' + "9" * 5000 + "}", "a", "no finite number of up to 64 bits"),
        ('["\\ud800.flac"]', "entry 0", "half a character"),
        ('{"a": {"\\udfff": 1}}', "a", "a key with half a character"),
        ('{"a": [{"b": 1, "c": 2, "b": 3}]}', "a[0]", "the key 'b' stands there twice"),
        ("NaN", "the whole", "no finite number"),
    ],
)
def test_a_value_that_cannot_be_is_named(text: str, place: str, problem: str) -> None:
    with pytest.raises(DatasetError, match="1 value that cannot be right") as raised:
        data_files.parse(Path("f.json"), text, words={"images": "image"})
    (detail,) = raised.value.details
    assert detail.startswith(f"{place}: ")
    assert problem in detail


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_is_bounded(opening: str) -> None:
    with pytest.raises(DatasetError, match="is no JSON: its lists and objects are nested too deep"):
        data_files.parse(Path("f.json"), opening * 200_000)


def test_the_number_of_lists_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_files, "MOST_CONTAINERS", 3)
    assert data_files.parse(Path("f"), '[{}, {"a": 1}]') == [{}, {"a": 1}]
    with pytest.raises(DatasetError, match="more than 3 objects and lists"):
        data_files.parse(Path("f"), "[[], [], []]")
    monkeypatch.setattr(data_files, "MOST_VALUES", 3)
    with pytest.raises(DatasetError, match="more than 3 values"):
        data_files.parse(Path("f"), "[1, 2, 3, 4, 5]")


def test_of_many_values_that_cannot_be_some_are_named() -> None:
    with pytest.raises(DatasetError, match="1000 values at least that cannot be right") as raised:
        data_files.parse(Path("f"), "[[" + "NaN," * 5000 + "NaN], NaN]")
    assert len(raised.value.details) == 11
    assert raised.value.details[9].startswith("entry 0[9]: ")


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, None, True, "NaN", "x\0y", "\U0001f600"], "": {"b": -(2**63) + 1}},
        [2**63 - 1, 0.1234567890123456789, 1e300, "é\ud7ff"],
    ],
)
def test_other_values_are_those_of_the_standard_library(value: Any) -> None:
    for ascii_only in (True, False):
        assert data_files.parse(Path("f"), json.dumps(value, ensure_ascii=ascii_only)) == value


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a/b.flac", None),
        ("a..b", None),
        ("", "is no name"),
        (7, "7 is no name"),
        (["x"], "['x'] is no name"),
        ("/etc/passwd", "'/etc/passwd' leads out of the folder"),
        ("a/../../b", "leads out of the folder"),
        ("..", "leads out of the folder"),
        ("a\0.flac", r"'a\x00.flac' has a character that no file's name has"),
        ("\ud800.flac", r"'\ud800.flac' has a character"),
        ("é" * 128, "is longer than a file's name can be"),
        ("a/" * 2000 + "b", "is longer than a file's name can be"),
    ],
)
def test_names_in_data_files(name: object, problem: str | None) -> None:
    found = data_files.name_problem(name)
    assert found is None if problem is None else problem in (found or "")


def test_values_are_shown_on_one_short_line() -> None:
    assert data_files.shown("\x1b[2J\n") == r"'\x1b[2J\n'"
    assert len(data_files.shown("x" * 1000)) < 80
    assert data_files.shown([[[]]]) == "a list of 1"
    assert data_files.shown({"a": 1}) == "an object of 1"


@contextmanager
def nobody() -> Iterator[None]:
    """Root may read everything; as nobody it may not."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("model", list(registry.packages()))
def test_a_folder_that_may_not_be_entered_is_an_error_of_the_data(model: str, *, inside: bool) -> None:
    benchmark = registry.load(model)
    with TemporaryDirectory() as place:
        root = Path(place)
        for name in ("LibriSpeech", "data", "validation", "annotations"):
            (root / name).mkdir()
            (root / name).chmod(0)
        root.chmod(0o755 if inside else 0)
        with nobody(), pytest.raises(DatasetError), data_files.reading(root):
            benchmark.open_dataset(root, limit=None)
        root.chmod(0o700)
        for name in ("LibriSpeech", "data", "validation", "annotations"):
            (root / name).chmod(0o700)


def test_a_file_that_may_not_be_read_is_named_with_the_user() -> None:
    with TemporaryDirectory() as place:
        path = Path(place) / BINARY
        path.write_bytes(bytes(160 * 200))
        path.chmod(0)
        Path(place).chmod(0o755)
        with (
            nobody(),
            pytest.raises(DatasetError, match="Permission denied") as raised,
            data_files.reading(path.parent),
        ):
            registry.load("dlrm").open_dataset(path.parent, limit=None)
    assert str(path) in str(raised.value)
    assert "It is read as user " in (raised.value.hint or "")


def test_a_large_file_takes_hardly_longer_than_the_standard_library() -> None:
    text = json.dumps([{"id": n, "box": [n * 0.37, 1.0, 2.0, 3.0], "name": f"{n:08}"} for n in range(50_000)])

    def took(read: Callable[[], object]) -> float:
        start = time.process_time()
        read()
        return time.process_time() - start

    plain = min(took(lambda: json.loads(text)) for _ in range(3))
    assert min(took(lambda: data_files.parse(Path("f"), text)) for _ in range(3)) < 4 * plain + 0.1
