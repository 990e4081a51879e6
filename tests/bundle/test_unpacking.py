"""Layers over each other: whiteouts, links, replaced folders; and what leads out of the image."""

import os
import stat
import tarfile
from pathlib import Path

import pytest

from mlperf_docker.bundle.unpacking import unpack
from mlperf_docker.errors import BundleError
from tests.bundle.bundles import Layer, hard_link, image, packed


def unpacked(folder: Path, *layers: Layer) -> Path:
    root = folder / "root"
    unpack(image(folder / "blobs", "test:1", [packed(layer) for layer in layers]), root)
    return root


def files(root: Path) -> dict[str, str]:
    """Content of each file, target of each link, and "/" for each folder without either, by its path."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_text()
        elif not any(path.iterdir()):
            found[name] = "/"
    return found


def test_an_upper_layer_replaces_hides_and_adds(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        {"etc": None, "etc/a": b"old", "etc/b": b"hidden", "opt/x/y": b"deep", "usr/lib/z": b"z", "lib": "usr/lib"},
        {"./etc/a": b"new", "etc/.wh.b": b"", "opt/.wh.x": b"", "usr/lib/w": b"w", "etc/.wh.never": b""},
    )
    assert files(root) == {"etc/a": "new", "lib": "-> usr/lib", "opt": "/", "usr/lib/w": "w", "usr/lib/z": "z"}


@pytest.mark.parametrize("first", [True, False])
def test_an_opaque_whiteout_hides_the_layers_below_and_not_its_own(tmp_path: Path, first: bool) -> None:
    own: Layer = {"opt/new": None, "opt/new/deep": b"own"}
    opaque: Layer = {"opt/.wh..wh..opq": b""}
    root = unpacked(
        tmp_path, {"opt/old/file": b"x", "opt/new": b"a file"}, {**opaque, **own} if first else {**own, **opaque}
    )
    assert files(root) == {"opt/new/deep": "own"}


def test_a_folder_gives_way_to_a_file_and_a_link_to_a_folder(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        {"a": None, "a/b": b"x", "link": "elsewhere", "to": None, "to/kept": b"kept", "alias": "to"},
        {"a": b"file", "link": None, "link/c": b"c", "alias": b"no link any more"},
    )
    assert files(root) == {"a": "file", "alias": "no link any more", "link/c": "c", "to/kept": "kept"}


def test_modes_times_and_second_names_are_kept_and_set_user_id_is_not(tmp_path: Path) -> None:
    program = tarfile.TarInfo("bin/su")
    program.mode = 0o4755
    root = unpacked(tmp_path, {"bin/su": program, "a": b"one", "b": hard_link("b", "a"), "closed": None})
    assert stat.S_IMODE((root / "bin/su").stat().st_mode) == 0o755
    assert (root / "a").stat().st_mtime == 1_600_000_000
    assert (root / "a").stat().st_ino == (root / "b").stat().st_ino


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owners_are_kept_by_root(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("mine")
    entry.uid, entry.gid = 65532, 65533
    status = (unpacked(tmp_path, {"mine": entry}) / "mine").stat()
    assert (status.st_uid, status.st_gid) == (65532, 65533)


@pytest.mark.parametrize(
    "layers",
    [
        [{"../outside": b"x"}],
        [{"a/../../outside": b"x"}],
        [{"way": ".."}, {"way/outside": b"x"}],
        [{"way": "/tmp"}, {"way/.wh..wh..opq": b""}],
        [{"second": hard_link("second", "../outside")}],
        [{"way": ".."}, {"second": hard_link("second", "way/outside")}],
    ],
)
def test_a_layer_that_leads_out_of_the_image_is_refused(tmp_path: Path, layers: list[Layer]) -> None:
    (tmp_path / "outside").write_text("mine")
    with pytest.raises(BundleError, match=r"is damaged: layer \d cannot be unpacked"):
        unpacked(tmp_path, *layers)
    assert (tmp_path / "outside").read_text() == "mine"


def test_a_link_that_leads_out_is_kept_as_it_is(tmp_path: Path) -> None:
    assert files(unpacked(tmp_path, {"etc/mtab": "/proc/mounts"})) == {"etc/mtab": "-> /proc/mounts"}


def test_a_changed_byte_of_a_layer_is_found(tmp_path: Path) -> None:
    found = image(tmp_path / "blobs", "test:1", [packed({"a": b"content"})])
    content = bytearray(found.layers[0].path.read_bytes())
    content[content.index(b"content")] ^= 1
    found.layers[0].path.write_bytes(content)
    with pytest.raises(BundleError, match=r"layer 1 is sha256:.*, not sha256:"):
        unpack(found, tmp_path / "root")
    with pytest.raises(BundleError, match=r"layer 1 is sha256:.*, not sha256:"):
        found.check()
