"""Mounts for symbolic links in the user's folders, and links that get none."""

from pathlib import Path

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine import links
from mlperf_docker.engine.plan import BindMount, ContainerUser, RunPlan
from mlperf_docker.errors import DatasetError
from mlperf_docker.runs.runner import on_host


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data set's folder with a file of its own."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set/own.jpg").write_text("own")
    return tmp_path / "set"


def files(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / f"{number}.jpg" for number in range(count)]
    for each in made:
        each.write_text(each.name)
    return made


def mounted(seen: links.Seen) -> dict[str, str]:
    """Return the mounts (inside → on the host), all of which are for reading only."""
    assert all(each.read_only for each in seen.mounts)
    return {each.container: str(each.host) for each in seen.mounts}


def test_without_links_it_is_where_it_always_was(root: Path) -> None:
    assert links.folder(root, "/data") == links.Seen("/data", (BindMount(root, "/data", read_only=True),))


def test_relative_links_within_the_folder_need_nothing(root: Path) -> None:
    (root / "also.jpg").symlink_to("own.jpg")
    (root / "below").mkdir()
    (root / "below/up.jpg").symlink_to("../own.jpg")
    assert links.folder(root, "/data").path == "/data"


def test_an_absolute_link_within_the_folder_needs_its_own_name(root: Path) -> None:
    (root / "also.jpg").symlink_to(root / "own.jpg")
    seen = links.folder(root, "/data")
    assert (seen.path, mounted(seen)) == (str(root), {str(root): str(root)})


def test_few_files_are_mounted_singly_and_many_with_their_folder(root: Path, tmp_path: Path) -> None:
    for each in files(tmp_path / "few", 3)[:2]:
        (root / f"few-{each.name}").symlink_to(each)
    for each in files(tmp_path / "many", 20):
        (root / f"many-{each.name}").symlink_to(f"../many/{each.name}")
    few, many = str(tmp_path / "few"), str(tmp_path / "many")
    singly = {f"{few}/{name}": f"{few}/{name}" for name in ("0.jpg", "1.jpg")}
    assert mounted(links.folder(root, "/data")) == {str(root): str(root), many: many, **singly}


def test_a_folder_is_mounted_once(root: Path, tmp_path: Path) -> None:
    files(tmp_path / "other/part", 20)
    (root / "whole").symlink_to(tmp_path / "other")
    for number in range(20):
        (root / f"{number}.jpg").symlink_to(tmp_path / f"other/part/{number}.jpg")
    other = str(tmp_path / "other")
    assert mounted(links.folder(root, "/data")) == {str(root): str(root), other: other}


def test_a_store_with_a_folder_for_each_file_is_mounted_whole(root: Path, tmp_path: Path) -> None:
    """As version control of data has them: named by the content's hash."""
    for number in range(links.MOST_MOUNTS + 40):
        for each in files(tmp_path / f"store/files/{number:02x}/{number:03x}", 1 + number % 20):
            (root / f"{number}-{each.name}").symlink_to(each)
    store = str(tmp_path / "store/files")
    assert mounted(links.folder(root, "/data")) == {str(root): str(root), store: store}


def test_more_places_than_can_be_mounted(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    for number in range(links.MOST_MOUNTS + 1):
        (each,) = files(tmp_path / f"me/{number}", 1)
        (root / f"{number}.jpg").symlink_to(each)
    with pytest.raises(DatasetError, match=rf"65 links of {root} lead out of it, such as .*\.jpg →") as caught:
        links.folder(root, "/data")
    assert caught.value.exit_code is ExitCode.DATASET


def test_the_home_folder_is_never_given_whole(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    (one, *_) = files(tmp_path / "me", 20)
    (root / "one.jpg").symlink_to(one)
    (root / "home").symlink_to(tmp_path / "me")
    (root / "all").symlink_to("/")
    seen = links.folder(root, "/data")
    assert mounted(seen) == {str(root): str(root), str(one): str(one)}
    (note,) = seen.notes
    assert note.startswith("2 links lead to what a container is not given: ")


def test_mounts_cover_no_folder_of_the_container_itself(root: Path) -> None:
    for name, to in (("passwd", "/etc/passwd"), ("null", "/dev/null"), ("python", "/usr/bin"), ("up", "/usr")):
        (root / name).symlink_to(to)
    seen = links.folder(root, "/data")
    assert mounted(seen) == {str(root): str(root)}
    assert "4 links lead to what a container is not given" in seen.notes[0]


def test_links_to_nowhere_are_told(root: Path) -> None:
    (root / "gone.jpg").symlink_to("../gone.jpg")
    (root / "round.jpg").symlink_to("round.jpg")
    seen = links.folder(root, "/data")
    assert seen.path == "/data"
    assert "2 links lead to what cannot be found: " in seen.notes[0]


@pytest.mark.parametrize("name", ["model.safetensors", "model.onnx"])
def test_a_model_by_a_link_keeps_its_name(tmp_path: Path, name: str) -> None:
    blob = tmp_path / "blobs/0123abcd"
    blob.parent.mkdir()
    blob.write_bytes(b"weights")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / name).symlink_to("../blobs/0123abcd")
    seen = links.file(tmp_path / "snapshot" / name, "/models")
    assert (seen.path, mounted(seen)) == (f"/models/{name}", {f"/models/{name}": str(blob)})
    plan = RunPlan("i", (), seen.mounts, ContainerUser("1:1"))
    assert on_host(f"/models/{name}: truncated", plan) == f"{tmp_path}/snapshot/{name}: truncated"


@pytest.mark.parametrize(
    ("name", "beside", "left"),
    [
        ("model.onnx", ["model.onnx_data", "weights.bin"], []),
        ("model.ckpt.index", ["model.ckpt.data-00000-of-00001"], ["other.ckpt.data-00000-of-00001"]),
        ("saved_model.pb", ["variables/variables.index", "variables/variables.data-00000-of-00001"], ["notes.txt"]),
        ("model.pth", [], ["other.pth"]),
    ],
)
def test_a_models_neighbours_come_with_it(tmp_path: Path, name: str, beside: list[str], left: list[str]) -> None:
    (tmp_path / "blobs").mkdir()
    for number, each in enumerate((name, *beside, *left)):
        (tmp_path / f"blobs/{number}").write_bytes(b"x")
        (tmp_path / "snapshot" / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "snapshot" / each).symlink_to(tmp_path / f"blobs/{number}")
    seen = links.file(tmp_path / "snapshot" / name, "/models")
    assert mounted(seen).keys() == {f"/models/{each}" for each in (name, *beside)}


def test_a_model_that_is_a_file_has_its_folder(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    (tmp_path / "stray.txt").symlink_to("nowhere")
    assert mounted(links.file(tmp_path / "model.onnx", "/models")) == {"/models": str(tmp_path)}
    (tmp_path / "weights").write_bytes(b"x")
    (tmp_path / "model.onnx_data").symlink_to("weights")
    (tmp_path / "system").symlink_to("/etc/passwd")
    seen = mounted(links.file(tmp_path / "model.onnx", "/models"))
    assert "/models/model.onnx_data" in seen
    assert "/models/system" not in seen
