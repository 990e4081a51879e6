"""Digests of the base images in images.yaml, updated from the registry; comments and layout stay."""

import copy
import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from mlperf_docker.catalog import yaml_lines
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import BaseImage
from mlperf_docker.errors import RegistryError, UsageError
from mlperf_docker.registry.references import host_of
from mlperf_docker.registry.refusals import NoHostError, PassingError, RefusedError
from mlperf_docker.registry.remote import Remote
from mlperf_docker.system import atomic

Describe: TypeAlias = Callable[[str], Remote | None]  # `Registries.describe`


class RegistryDownError(RegistryError):
    """The registry does not answer, which may pass."""


@dataclass(frozen=True)
class BaseChange:
    """A base whose entry changes: another digest, or the first day on which the registry confirmed the one it has."""

    base: BaseImage
    digest: str

    def __str__(self) -> str:
        """Return it as a line for people."""
        if self.digest == self.base.digest:
            return f"{self.base.name}: {self.base.reference} is confirmed to be {self.digest}"
        return f"{self.base.name}: {self.base.reference} was {self.base.digest}, is {self.digest}"


@dataclass
class BaseRefresh:
    """Outcome of a refresh: changes that were written, and reasons why other digests are not known."""

    changes: list[BaseChange] = field(default_factory=list)
    failures: list[RegistryError] = field(default_factory=list)

    def raise_failure(self, *, needed: bool) -> None:
        """Raise one error for all failures: where a registry refused, and where none answers though it is *needed*."""
        settled = [error for error in self.failures if needed or not isinstance(error, RegistryDownError)]
        if settled:
            lines = "\n".join(f"  {error}" for error in settled)
            raise RegistryError(f"Digests of bases are not known:\n{lines}", hint=settled[0].hint)

    def __str__(self) -> str:
        """Say on one line which digests stay and why; empty where all are known."""
        return f"Digests of bases stay as they are: {'; '.join(map(str, self.failures))}" if self.failures else ""


def refresh(path: Path, describe: Describe, today: dt.date) -> BaseRefresh:
    """Ask for the digest of every base that a cell of the catalog at *path* stands on, and write what is new.

    What *describe* raises of RegistryError leaves that one base as it is. The file is replaced once, in one step.
    """
    done, digests = BaseRefresh(), _Digests(describe)
    for base in dict.fromkeys(spec.base for spec in Catalog.load(path).specs):
        try:
            digest = digests.today(base.reference)
        except RegistryError as error:
            done.failures.append(error)
            continue
        if digest != base.digest or base.recorded is None:
            done.changes.append(BaseChange(base, digest))
    if done.changes:
        _write(path, done.changes, today)
    return done


class _Digests:
    """The digests of names, of whichever registry. One that does not answer is waited for once, not for every name."""

    def __init__(self, describe: Describe) -> None:
        self._describe = describe
        self._down: dict[str, str] = {}  # the registry's host → what came of asking it

    def today(self, reference: str) -> str:
        """Return the digest, `sha256:…`, that the registry has under *reference*, a name with its tag.

        Of an image for several architectures it is that of the index. Raises RegistryDownError where nothing answers,
        and RegistryError where the registry refuses or has no such tag.
        """
        host, hint = host_of(reference), f"Try it by hand: docker pull {reference}"
        if host in self._down:
            raise RegistryDownError(f"{reference}: {self._down[host]}", hint=hint)
        try:
            found = self._describe(reference)
        except (PassingError, NoHostError) as error:
            self._down[host] = error.reason
            raise RegistryDownError(f"{reference}: {error.reason}", hint=hint) from error
        except RefusedError as error:
            raise RegistryError(f"{reference}: {error.reason}", hint=hint) from error
        if found is None:
            raise RegistryError(f"{reference}: there is no such tag in the registry", hint=hint)
        return found.digest


def _write(path: Path, changes: list[BaseChange], today: dt.date) -> None:
    text = path.read_bytes().decode()  # not read_text, which would take other line ends away
    for change in changes:
        text = with_digest(text, change.base.name, change.digest, today)
    atomic.write_text(path, text)


def with_digest(text: str, name: str, digest: str, recorded: dt.date) -> str:
    """Return the catalog *text* with another digest and its day for the base *name*, and every other byte the same.

    Raises UsageError where the entry is laid out in a way that this cannot edit.
    """
    document = yaml_lines.read(text)
    wanted = copy.deepcopy(document.data)
    entry = wanted["bases"][name]
    old_digest, old_day = entry["digest"], entry.get("recorded")
    entry |= {"digest": digest, "recorded": recorded}
    lines = text.splitlines(keepends=True)
    at = document.lines["bases", name, "digest"] - 1
    if old_day is not None:
        day_at = document.lines["bases", name, "recorded"] - 1
        lines[day_at] = _replaced(lines[day_at], "recorded", str(old_day), str(recorded))
    lines[at] = _replaced(lines[at], "digest", old_digest, digest)
    if old_day is None:
        lines[at] = _with_day(lines[at], digest, recorded)
    edited = "".join(lines)
    if yaml_lines.read(edited).data != wanted:
        raise UsageError(
            f"images.yaml cannot be edited at bases.{name}: its digest is laid out in an unusual way.",
            hint=f"Write it on one line of its own: digest: {digest}",
        )
    return edited


def _replaced(line: str, key: str, old: str, new: str) -> str:
    """Return *line* with the value after *key* replaced, and its quotes kept."""
    return re.sub(rf"(\b{key}\s*:\s*[\"']?){re.escape(str(old))}", rf"\g<1>{new}", line, count=1)


def _with_day(line: str, digest: str, recorded: dt.date) -> str:
    """Return *line* with the day after the digest: on a line of its own, or within the braces that the digest is in."""
    block = re.match(r"\s*digest\b", line)
    if block is None:
        return re.sub(rf"({digest}[\"']?)", rf"\g<1>, recorded: {recorded}", line, count=1)
    indent, end = line[: block.end() - len("digest")], "\r\n" if line.endswith("\r\n") else "\n"
    return f"{line.rstrip()}{end}{indent}recorded: {recorded}{end}"
