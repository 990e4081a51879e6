"""`data verify` and `data preprocess` in a real container."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cells.imagenet import lay_out_noise
from tests.cells.tool import Tool

pytestmark = pytest.mark.engine


def test_every_file_is_read(tool: Tool, image: str, tmp_path: Path) -> None:
    data = lay_out_noise(tmp_path / "data", count=6)
    found = tool.json("data", "verify", "imagenet2012", str(data))
    assert (found["name"], found["samples"], found["path"]) == ("imagenet2012", 6, str(data))
    text = tool("data", "verify", "resnet50", str(data)).stdout
    assert "6 samples, of 50000 in the whole set; all can be read" in text


def test_damage_in_the_middle_of_a_file_is_found(tool: Tool, image: str, tmp_path: Path) -> None:
    data = lay_out_noise(tmp_path / "data", count=6)
    names = sorted(data.glob("*.JPEG"))
    names[0].unlink()
    content = names[1].read_bytes()
    names[1].write_bytes(content[: len(content) // 2])
    done = tool("data", "verify", "imagenet2012", str(data), expect=6)
    assert names[0].name in done.stderr
    assert names[1].name in done.stderr
    assert str(data) in done.stderr, "by the name that the user knows"
    assert tool("data", "verify", "imagenet2012", str(data), "--quick").stdout.count("val_map.txt") == 1


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can be in any group")
def test_data_for_a_group_of_the_caller(tool: Tool, image: str, tmp_path: Path) -> None:
    """A container has no power over files; so even root is let in by a group, or not at all."""
    data = lay_out_noise(tmp_path / "data", count=2)
    for path in (data, *data.iterdir()):
        os.chown(path, 54321, 12399)
        path.chmod(0o750 if path.is_dir() else 0o640)
    verify = ("data", "verify", "imagenet2012", str(data))
    assert "Permission denied" in tool(*verify, expect=6).stderr
    member = replace(tool, prefix=("setpriv", "--groups", "12399"))
    assert member.json(*verify)["samples"] == 2


def test_the_quick_look_needs_no_engine(tool: Tool, tmp_path: Path) -> None:
    quick = ("data", "verify", "resnet50", str(tmp_path / "no"), "--quick")
    assert "no such folder" in tool(*quick, expect=6, DOCKER_HOST="unix:///nowhere.sock").stderr
    assert "Did you mean imagenet2012?" in tool("data", "verify", "imagenet", str(tmp_path), expect=2).stderr


def test_a_preprocessed_set_is_used_by_the_next(tool: Tool, image: str, tmp_path: Path) -> None:
    data = lay_out_noise(tmp_path / "data", count=5)
    done = tool.json("data", "preprocess", "resnet50", "--dataset", str(data), "--workers", "2", "--samples", "4")
    assert done["samples"] == 4
    cache = Path(done["cache"])
    assert cache.is_relative_to(tool.home / "cache")
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    assert before
    tool("data", "preprocess", "resnet50", "--dataset", str(data), "--samples", "4")
    after = {path: path.stat().st_mtime_ns for path in before}
    arrays = [path for path in before if path.stat().st_size > 4 * 3 * 224 * 224]
    assert arrays
    assert all(after[path] == before[path] for path in arrays), "nothing was done twice"


def test_the_data_sets_are_listed(tool: Tool) -> None:
    text = tool("data", "list").stdout
    for word in ("imagenet2012", "openimages-mlperf", "50000", "CC BY 4.0", "val_map.txt"):
        assert word in text
