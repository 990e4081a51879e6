"""Unpacking of an image: its layers, one over the other, into one folder.

`umoci unpack` does it, where it is installed, into a bundle of the OCI's runtime. Owners are kept as root only; device
files, set-user-id bits and extended attributes are left out, which no container of this tool may use.
"""

import contextlib
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from mlperf_docker.bundle.stored import UNREADABLE, Hashed, Report, StoredImage

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_MODES = 0o1777
_OWNERS = 0o700  # of folders, or the next layer could not be written


def unpack(image: StoredImage, root: Path, report: Report = lambda *_: None) -> None:
    """Unpack *image* into *root*, a new folder. Raises BundleError for a damaged one, whatever is there by then."""
    root.mkdir()
    done = 0
    for number, (layer, diff_id) in enumerate(zip(image.layers, image.diff_ids, strict=True), 1):
        try:
            with layer.open_plain() as plain:
                hashed = Hashed(plain)
                _Layer(root).apply(hashed)
                found = hashed.rest()
        except (tarfile.TarError, *UNREADABLE, ValueError, UnsafePathError) as error:
            raise image.damaged(f"layer {number} cannot be unpacked: {error}") from error
        if found != diff_id:
            raise image.damaged(f"layer {number} is {found}, not {diff_id}")
        done += layer.size_bytes
        report(done, image.size_bytes)


class UnsafePathError(Exception):
    """A layer has a path that leads out of the root."""


class _Layer:
    """Layer that is put over what is in *root*."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._own: set[Path] = set()
        """Paths of this layer: an opaque whiteout hides those of the layers below."""
        self._folders: set[Path] = {root}
        """Folders that are known to be some, and no links."""

    def apply(self, layer: Hashed) -> None:
        """Put all members of *layer* in their places."""
        with tarfile.open(fileobj=layer, mode="r|") as tar:
            for member in tar:
                path = self._path(member.name)
                if path == self._root:
                    continue
                self._enter(path.parent)
                if path.name.startswith(_WHITEOUT):
                    self._hide(path)
                elif member.type in _MAKERS:
                    self._make(tar, member, path)

    def _path(self, name: str) -> Path:
        parts = [part for part in PurePosixPath(name).parts if part not in ("/", ".")]
        if ".." in parts:
            raise UnsafePathError(f"{name} leads out of the image")
        return self._root.joinpath(*parts)

    def _enter(self, folder: Path) -> None:
        """See to it that *folder* is one, without a link on the way."""
        if folder in self._folders:
            return
        self._enter(folder.parent)
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise UnsafePathError(f"{folder.relative_to(self._root)} is no folder, and has files")
        folder.mkdir(exist_ok=True)
        self._folders.add(folder)

    def _hide(self, whiteout: Path) -> None:
        if whiteout.name != _OPAQUE:
            self._remove(whiteout.with_name(whiteout.name.removeprefix(_WHITEOUT)))
            return
        for path in whiteout.parent.iterdir():
            if not any(own == path or own.is_relative_to(path) for own in self._own):
                self._remove(path)

    def _remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
            self._folders = {self._root}
        else:
            path.unlink(missing_ok=True)

    def _make(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        if not (member.isdir() and path.is_dir() and not path.is_symlink()):
            self._remove(path)
        _MAKERS[member.type](self, tar, member, path)
        self._own.add(path)
        if member.islnk():
            return
        if os.geteuid() == 0:
            os.lchown(path, member.uid, member.gid)
        if not member.issym():
            path.chmod((member.mode & _MODES) | (_OWNERS if member.isdir() else 0))
        if not member.isdir():
            with contextlib.suppress(OSError):
                os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)

    def folder(self, _tar: tarfile.TarFile, _member: tarfile.TarInfo, path: Path) -> None:
        """Make a folder, or keep the one of a lower layer."""
        path.mkdir(exist_ok=True)

    def file(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        """Write a file."""
        content = tar.extractfile(member)
        with path.open("xb") as file:
            if content is not None:
                shutil.copyfileobj(content, file, 2**20)

    def link(self, _tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        """Make a symbolic link, wherever it leads: nothing is written through it."""
        path.symlink_to(member.linkname)

    def second_name(self, _tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        """Give a file of the image a second name."""
        target = self._path(member.linkname)
        self._enter(target.parent)
        path.hardlink_to(target)


_MAKERS: dict[bytes, Callable[[_Layer, tarfile.TarFile, tarfile.TarInfo, Path], None]] = {
    tarfile.REGTYPE: _Layer.file,
    tarfile.AREGTYPE: _Layer.file,
    tarfile.DIRTYPE: _Layer.folder,
    tarfile.SYMTYPE: _Layer.link,
    tarfile.LNKTYPE: _Layer.second_name,
}
"""What is made of a member, by its type; devices and pipes are left out."""
