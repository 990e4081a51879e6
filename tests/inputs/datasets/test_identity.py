"""Identity of a data set: names and contents decide, not place or time; only what changed is read again."""

import os
import shutil
from pathlib import Path

import pytest

from mlperf_docker.errors import DatasetError
from mlperf_docker.inputs.datasets import identity


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    (folder / "pictures").mkdir(parents=True)
    (folder / "val_map.txt").write_text("a.jpg 1\n")
    for name in ("a.jpg", "b.jpg"):
        (folder / "pictures" / name).write_bytes(name.encode() * 100)
    return folder


def read_bytes(folder: Path) -> int:
    """How many bytes are read to identify *folder*."""
    seen = [0]
    identity.identify(folder, lambda done, _: seen.append(done))
    return seen[-1]


def test_a_copy_is_the_same_data_set(data: Path, tmp_path: Path) -> None:
    found = identity.identify(data)
    assert found.startswith("sha256:")
    copy = shutil.copytree(data, tmp_path / "copy", copy_function=shutil.copyfile)
    assert identity.identify(copy) == found
    link = tmp_path / "link"
    link.symlink_to(data)
    assert identity.identify(link) == found


def test_a_touched_file_is_read_again_and_changes_nothing(data: Path) -> None:
    found = identity.identify(data)
    assert read_bytes(data) == 0
    os.utime(data / "val_map.txt", (1, 1))
    assert read_bytes(data) == (data / "val_map.txt").stat().st_size
    assert identity.identify(data) == found


def test_a_changed_byte_is_noticed_also_under_the_same_size_and_time(data: Path) -> None:
    found, path = identity.identify(data), data / "pictures/b.jpg"
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(50)
        file.write(b"X")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert identity.identify(data) != found


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "moved"])
def test_another_list_of_files_is_another_data_set(change: str, data: Path) -> None:
    found = identity.identify(data)
    match change:
        case "added":
            (data / "pictures/c.jpg").write_bytes(b"")
        case "removed":
            (data / "pictures/a.jpg").unlink()
        case "renamed":
            (data / "pictures/a.jpg").rename(data / "pictures/c.jpg")
        case "moved":
            (data / "pictures/a.jpg").rename(data / "a.jpg")
    assert identity.identify(data) != found


def test_hidden_files_and_downloads_are_no_part_of_a_data_set(data: Path) -> None:
    found = identity.identify(data)
    (data / ".partial").write_text("x")
    (data / "raw").mkdir()
    (data / "raw/archive.tar").write_text("x")
    assert identity.identify(data) == found


def test_a_link_that_leads_in_a_circle_ends(data: Path) -> None:
    found = identity.identify(data)
    (data / "pictures/back").symlink_to(data)
    assert identity.identify(data) == found


def test_a_damaged_index_only_costs_time(data: Path, tmp_path: Path) -> None:
    found = identity.identify(data)
    (index,) = (tmp_path / "cache/mlperf-docker/datasets").iterdir()
    for text in ("[]", "{", '{"val_map.txt": 3}', '{"val_map.txt": [1, 2, 3, 4, "0"]}'):
        index.write_text(text)
        assert identity.identify(data) == found


def test_a_folder_that_is_gone_is_an_error_of_the_data_set(data: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere cannot be read"):
        identity.identify(data / "nowhere")
