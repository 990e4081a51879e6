"""Cache of the facts that `list` shows, in the user's cache folder.

To compute them takes 0.2 s, most of it the import of what reads and checks catalog and evidence. So they are kept under
a digest over the contents of everything that they were computed from.
"""

# Names are texts here: there are 300 files, and Path would take half of the time.
# ruff: noqa: PTH113, PTH123

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from mlperf_docker.errors import FolderError
from mlperf_docker.evidence.facts import Facts
from mlperf_docker.system import atomic, paths, small_file

_FILE = "cells.json"
_SOURCES = ("images.yaml", "evidence.json", "templates", "locks")
_CODE = ("__init__.py", "names.py", "catalog", "contract", "evidence", "harness", "recipe", "system")
_LIBRARIES = ("jinja2", "pydantic")


def known() -> Facts:
    """Return the facts as they are today: remembered if nothing has changed, else computed.

    Raises what loading the catalog, the locks or the evidence raises.
    """
    key = _key()
    found = _remembered(key)
    if found is None:
        from mlperf_docker.evidence.reading import computed

        text = computed().dumped()
        _remember(key, text)
        found = Facts.parsed(text)
    return found


def _key() -> str:
    """Return a digest over all contents that the facts are computed from; its own code is part of them."""
    digest = hashlib.sha256(sys.version.encode())
    for path in _sources():
        with suppress(OSError), open(path, "rb", buffering=0) as file:
            content = file.read()
            digest.update(f"{path} {len(content)} ".encode() + content)
    for name in _LIBRARIES:
        library = find_spec(name)
        if library is not None and library.origin:
            digest.update(str(Path(library.origin).stat().st_mtime_ns).encode())
    return digest.hexdigest()


def _sources() -> Iterator[str]:
    yield from (path for name in _SOURCES for path in _files(f"{paths.assets()}/{name}"))
    yield from (path for name in _CODE for path in _files(f"{paths.PACKAGE}/{name}"))
    with suppress(FolderError):
        yield str(paths.own_evidence())


def _files(path: str) -> Iterator[str]:
    """Yield *path*, or the files in the folder that it is, in one order and without byte code."""
    if os.path.isfile(path):
        yield path
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(set(folders) - {"__pycache__"})
        yield from (f"{folder}/{name}" for name in sorted(names))


def _remembered(key: str) -> Facts | None:
    """Return what was remembered under *key*; anything else in the file counts as nothing."""
    with suppress(OSError, FolderError, small_file.UnfitError, KeyError, TypeError, ValueError):
        named, digest, text = small_file.read(paths.cache_place() / _FILE).decode().split("\n")
        if named == key and digest == hashlib.sha256(text.encode()).hexdigest():
            return Facts.parsed(text)
    return None


def _remember(key: str, text: str) -> None:
    """Keep *text* for the next time. Where nothing can be written, the next time takes as long."""
    with suppress(OSError, FolderError):
        digest = hashlib.sha256(text.encode()).hexdigest()
        atomic.write_text(paths.cache_place() / _FILE, "\n".join((key, digest, text)))
