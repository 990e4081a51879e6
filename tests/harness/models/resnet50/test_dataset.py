"""ImageNet's folder and its val_map.txt: read in order, with every bad line named."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mlperf_docker.harness.api.errors import DatasetError
from mlperf_docker.harness.models.resnet50.dataset import open_imagenet, parse_map


def write_set(root: Path, lines: list[str], sizes: dict[str, int]) -> Path:
    root.mkdir(exist_ok=True)
    (root / "val_map.txt").write_text("".join(f"{line}\n" for line in lines))
    for name, size in sizes.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * size)
    return root


def test_lines_are_split_at_any_blank() -> None:
    assert parse_map("a.JPEG 0\nval/b.JPEG\t999\n") == [("a.JPEG", 0), ("val/b.JPEG", 999)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("a.JPEG", "1 columns"),
        ("a.JPEG 1 2", "3 columns"),
        ("", "0 columns"),
        ("a.JPEG x", "not a number"),
        ("a.JPEG -1", "not a number"),
        ("a.JPEG 1000", "not in 0..999"),
        ("a.JPEG " + "9" * 5000, "label 999… of 5000 digits is not in 0..999"),
        ("../a.JPEG 1", "out of the folder"),
        ("/a.JPEG 1", "out of the folder"),
        ("a\0.JPEG 1", "a character that no file's name has"),
        ("a" * 300 + " 1", "longer than a file's name can be"),
        ("good.JPEG 1", "'good.JPEG' is there already"),
        ("./good.JPEG 2", "'./good.JPEG' is there already"),
    ],
)
def test_a_bad_line_is_named_by_its_number(line: str, problem: str) -> None:
    with pytest.raises(DatasetError) as raised:
        parse_map(f"good.JPEG 1\n{line}\n")
    assert raised.value.details[0].startswith("line 2: ")
    assert problem in raised.value.details[0]


@pytest.mark.parametrize("text", ["a 1\r\nb 2\r\n", "a 1\rb 2", "\ufeffa 1\nb 002\n", "a\t1  \n  b 2"])
def test_lines_end_as_on_any_system(tmp_path: Path, text: str) -> None:
    root = write_set(tmp_path, [], {"a": 1, "b": 1})
    (root / "val_map.txt").write_bytes(text.encode())
    dataset = open_imagenet(root)
    assert (dataset.names, dataset.labels) == (("a", "b"), (1, 2))


def test_all_bad_lines_are_counted_and_ten_named() -> None:
    with pytest.raises(DatasetError, match="12 malformed lines") as raised:
        parse_map("x\n" * 12)
    assert len(raised.value.details) == 11
    assert raised.value.details[-1] == "… and 2 more"


def test_an_empty_map_is_an_error() -> None:
    with pytest.raises(DatasetError, match="empty"):
        parse_map("")


def test_missing_and_damaged_files_are_counted_together(tmp_path: Path) -> None:
    root = write_set(tmp_path, [f"{n}.JPEG 1" for n in range(15)], {"1.JPEG": 0, "2.JPEG": 5})
    cv2.imwrite(str(root / "0.JPEG"), np.zeros((40, 40, 3), np.uint8))
    whole = (root / "0.JPEG").read_bytes()
    (root / "3.JPEG").write_bytes(whole[:-20])
    with pytest.raises(DatasetError, match="14 of 15") as raised:
        open_imagenet(root)
    assert raised.value.details[:4] == (
        "1.JPEG: empty",
        "2.JPEG: not an image",
        f"3.JPEG: truncated after {len(whole) - 20} bytes",
        "4.JPEG: missing",
    )
    assert raised.value.details[-1] == "… and 4 more"


def test_a_limit_leaves_later_files_alone(tmp_path: Path) -> None:
    root = write_set(tmp_path, ["a.JPEG 1", "b.JPEG 2"], {"a.JPEG": 1})
    assert open_imagenet(root, limit=1).names == ("a.JPEG",)


def test_no_folder_and_no_map(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set folder"):
        open_imagenet(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"val_map\.txt was not found"):
        open_imagenet(tmp_path)


def test_a_map_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "val_map.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="is not UTF-8"):
        open_imagenet(tmp_path)


def test_identity_follows_content_not_place(tmp_path: Path) -> None:
    import shutil

    first = write_set(tmp_path / "first", ["a.JPEG 1"], {"a.JPEG": 3})
    second = tmp_path / "second"
    shutil.copytree(first, second, copy_function=shutil.copy2)
    assert open_imagenet(first).identity == open_imagenet(second).identity
    (second / "a.JPEG").write_bytes(b"four")
    assert open_imagenet(first).identity != open_imagenet(second).identity
