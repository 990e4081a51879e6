"""Contents of an image: its file system read as packages, locks and bill of materials. Pure."""

import base64
import csv
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import cached_property
from typing import Any

from mlperf_docker.catalog.requirement_names import canonical
from mlperf_docker.engine.filesystem import FileSystem
from mlperf_docker.recipe.layout import LAYOUT

# Paths of an image's file system have no leading slash.
HOME, VENV, SBOM, REQUIREMENTS, WHEELS, BYTECODE = (
    path.removeprefix("/")
    for path in (LAYOUT.home, LAYOUT.venv, LAYOUT.sbom, LAYOUT.requirements, LAYOUT.wheels, LAYOUT.bytecode)
)
_DPKG = "var/lib/dpkg"
_INFO = re.compile(rf"(?P<site>{VENV}/lib/python(?P<python>[0-9.]+)/site-packages)/[^/]+\.dist-info/(METADATA|RECORD)")
_MD5SUMS = re.compile(rf"{_DPKG}/info/(?P<package>[^/:]+)(:[^/]+)?\.md5sums")


def is_wanted(path: str) -> bool:
    """Tell whether the content of *path*, without its leading slash, is needed here; of all others the hash will do."""
    return (
        path in (SBOM, f"{_DPKG}/status")
        or path.startswith((f"{REQUIREMENTS}/", f"{WHEELS}/", f"{BYTECODE}/"))
        or _INFO.fullmatch(path) is not None
        or _MD5SUMS.fullmatch(path) is not None
    )


@dataclass(frozen=True)
class Distribution:
    """An installed Python distribution."""

    name: str
    version: str
    files: Mapping[str, str | None]
    """Path in the image → sha256 in hexadecimal, None if none is recorded."""


class Contents:
    """An image's file system, and what its installers have on record of it."""

    def __init__(self, files: FileSystem) -> None:
        self.files = files

    @cached_property
    def distributions(self) -> dict[str, Distribution]:
        """Canonical name → distribution, of everything in the image's virtual environment."""
        found = {}
        for path in self.files.contents:
            match = _INFO.fullmatch(path)
            if match and path.endswith("/METADATA"):
                metadata = HeaderParser().parsestr(self.files.text(path) or "")
                record = self.files.text(f"{posixpath.dirname(path)}/RECORD") or ""
                name = str(metadata["Name"])
                files = dict(_recorded(record, match["site"]))
                found[canonical(name)] = Distribution(name, str(metadata["Version"]), files)
        return found

    @cached_property
    def python(self) -> str | None:
        """The version of the virtual environment's Python, as "3.11"; None where nothing is installed."""
        sites = (match["python"] for path in self.files.contents if (match := _INFO.fullmatch(path)))
        return next(sites, None)

    @cached_property
    def debian(self) -> dict[str, str]:
        """Package → version, of everything that dpkg has installed."""
        return dict(_installed(self.files.text(f"{_DPKG}/status") or ""))

    def debian_files(self) -> Iterator[tuple[str, str, str]]:
        """Yield package, path in the image and md5 in hexadecimal of each file that dpkg has a checksum of."""
        for path in sorted(self.files.contents):
            match = _MD5SUMS.fullmatch(path)
            for line in (self.files.text(path) or "").splitlines() if match else ():
                digest, _, name = line.partition("  ")
                yield match["package"] if match else "", self.files.resolve(name), digest

    @cached_property
    def sbom(self) -> dict[str, Any] | None:
        """The bill of materials, or None where the image has none that can be read."""
        try:
            found = json.loads(self.files.text(SBOM) or "")
            whole = isinstance(found["components"], list) and all(
                isinstance(each, dict) for each in found["components"]
            )
            return dict(found) if whole else None
        except (ValueError, KeyError, TypeError):
            return None

    def wheels(self) -> dict[tuple[str, str], str]:
        """Canonical name and version → `sha256:…` of the wheel that the distribution was installed from."""
        rows = self._rows(WHEELS, 3)
        return {(canonical(name), version): digest.replace("=", ":") for name, version, digest in rows}

    @cached_property
    def bytecode(self) -> dict[str, str]:
        """Path in the image → sha256 of the byte code that the build made, empty for an image that does not tell."""
        return {path.lstrip("/"): digest for digest, path in self._rows(BYTECODE, 2)}

    def _rows(self, folder: str, columns: int) -> Iterator[list[str]]:
        """Yield the words of each line of the files in *folder*, of lines that are as the build writes them."""
        for path in self.files.contents:
            for line in (self.files.text(path) or "").splitlines() if path.startswith(f"{folder}/") else ():
                words = line.split(maxsplit=columns - 1)
                if len(words) == columns:
                    yield words


def _recorded(record: str, site: str) -> Iterator[tuple[str, str | None]]:
    """Yield path in the image and sha256, None if none is recorded, of each line of a RECORD file.

    Source: packaging.python.org, RECORD.
    """
    for path, digest, *_ in (row for row in csv.reader(record.splitlines()) if len(row) > 1):
        yield (
            posixpath.normpath(posixpath.join("/", site, path))[1:],
            _hexadecimal(digest.partition("sha256=")[2]) or None,
        )


def _hexadecimal(digest: str) -> str:
    """Return a digest of RECORD in hexadecimal. One that is damaged stays as it is, so that no file is equal to it."""
    try:
        return base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)).hex()
    except ValueError:
        return digest


def _installed(status: str) -> Iterator[tuple[str, str]]:
    """Yield name and version of what is installed, out of dpkg's status file. Source: deb-control(5), dpkg(1)."""
    for paragraph in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if re.match(r"[A-Za-z-]+: ", line))
        if fields.get("Status", "").endswith(" installed"):
            yield fields["Package"], fields["Version"]
