"""Identity of a data set: a digest over the names and contents of its files, wherever they lie.

Each file is read once and again only when it was written to, as its size, its times and its inode tell; what was found
is kept in the cache. So a copied or touched data set stays the same, and one byte that changed makes it another.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.errors import DatasetError, FolderError
from mlperf_docker.inputs.datasets import location
from mlperf_docker.system import atomic, paths, small_file

_CHUNK_BYTES = 2**20
_KEPT = "datasets"
_LARGEST_INDEX = 256 << 20

Report = Callable[[int, int], None]
"""Called with the bytes that are read, and how many there are to read."""


@dataclass(frozen=True)
class _Found:
    """File of a data set as the file system tells of it."""

    path: str
    stamp: list[int]

    @property
    def size_bytes(self) -> int:
        return self.stamp[0]


def identify(folder: Path, report: Report | None = None) -> str:
    """Return the identity of the data set in *folder*, `sha256:…`. Raises DatasetError where a file cannot be read."""
    folder = paths.resolved(folder)
    try:
        files = dict(sorted(_files(folder)))
        known = _known(folder)
        digests = {name: known.get(name) for name in files}
        unread = {name: file for name, file in files.items() if not _is_of(digests[name], file)}
        entries = {name: entry for name, entry in digests.items() if entry is not None and name not in unread}
        entries |= _read(unread, report)
    except OSError as error:
        raise DatasetError(f"{error.filename or folder} cannot be read: {error.strerror}.") from error
    if unread or known.keys() != files.keys():
        _keep(folder, entries)
    lines = "".join(f"{entries[name][-1]}  {name}\n" for name in files)
    return f"sha256:{hashlib.sha256(lines.encode(errors='surrogateescape')).hexdigest()}"


def _read(files: Mapping[str, _Found], report: Report | None) -> dict[str, list[Any]]:
    """Return the entry of each of *files*: its stamp, and the digest of its contents."""
    total, done, entries = sum(file.size_bytes for file in files.values()), 0, {}
    for name, file in files.items():
        digest = hashlib.sha256()
        with open(file.path, "rb") as stream:  # noqa: PTH123  # many thousands of files
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                done += len(chunk)
                if report is not None:
                    report(done, total)
        entries[name] = [*file.stamp, digest.hexdigest()]
    return entries


def _files(folder: Path) -> Iterator[tuple[str, _Found]]:
    """Yield name below *folder* and facts of each file; links are followed, hidden files and downloads left out."""
    waiting, seen = [("", str(folder))], set()
    while waiting:
        prefix, place = waiting.pop()
        real = os.path.realpath(place)
        if real in seen:  # a link that leads in a circle
            continue
        seen.add(real)
        for each in os.scandir(place):
            name = f"{prefix}{each.name}"
            if each.name.startswith(".") or name == location.RAW:
                continue
            if each.is_dir():
                waiting.append((f"{name}/", each.path))
            elif each.is_file():
                status = each.stat()
                stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
                yield name, _Found(each.path, stamp)


def _is_of(entry: list[Any] | None, file: _Found) -> bool:
    return entry is not None and entry[:-1] == file.stamp and isinstance(entry[-1], str)


def _index(folder: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()
    return paths.cache_place() / _KEPT / f"{digest[:20]}.json"


def _known(folder: Path) -> dict[str, list[Any]]:
    """Return what is kept of the files in *folder*: name → stamp and digest. A damaged index only costs time."""
    with contextlib.suppress(OSError, FolderError, ValueError, RecursionError, small_file.UnfitError):
        found = json.loads(small_file.read(_index(folder), _LARGEST_INDEX))
        if isinstance(found, dict):
            return {name: entry for name, entry in found.items() if isinstance(entry, list) and entry}
    return {}


def _keep(folder: Path, entries: Mapping[str, list[Any]]) -> None:
    """Keep *entries*. A cache that cannot be written only costs time."""
    with contextlib.suppress(OSError, FolderError):
        atomic.write_text(_index(folder), json.dumps(entries))
