"""Checks between entries of images.yaml, on the raw data."""

from collections.abc import Iterator
from typing import Any

from mlperf_docker.catalog import yaml_lines
from mlperf_docker.catalog.checked_yaml import LONGEST_MESSAGE
from mlperf_docker.catalog.requirement_names import canonical
from mlperf_docker.catalog.yaml_lines import shown
from mlperf_docker.contract.devices import Device
from mlperf_docker.display import printable

# Debian's suites that can stand in for a base → the Python they bring. Source: https://packages.debian.org/python3
DEBIAN = {"bookworm": "3.11", "trixie": "3.13"}


def cross_check(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield what only shows between entries. Works on the raw data, so that it also sees a file with other problems."""
    yield from _dangling(data)
    yield from _repeated(data)
    yield from _absent(data)
    yield from _unobtainable(data)
    yield from _of_nothing(data)
    yield from _unsuitable(data)
    yield from _declared_twice(data)
    yield from _undistributed(data)
    yield from _unreadable(data)


def _dangling(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield references to entries that do not exist."""
    values: dict[tuple[str, ...], str] = {
        ("models", "*", "dataset"): "datasets",
        ("models", "*", "default_backend"): "backends",
        ("models", "*", "files", "*", "backend"): "backends",
        ("default_backend",): "backends",
        ("devices", "*", "base"): "bases",
        ("backends", "*", "devices", "*", "base"): "bases",
    }
    named = ("precisions", "backend_requirements", "cells")
    keys: dict[tuple[str, ...], str] = {("models", "*", key, "*"): "backends" for key in named}
    for pattern, section in {**values, **keys}.items():
        known = {str(path[-1]): None for path, _ in values_at(data, section, "*")}
        names = printable.shortened(", ".join(known) or "nothing", LONGEST_MESSAGE)
        for path, value in values_at(data, *pattern):
            name = path[-1] if pattern in keys else value
            if isinstance(name, str) and name not in known:
                yield path, f"{section} has no {shown(name)}; it has {names}"


def _repeated(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield list items that come twice: scenarios, precisions, requirements, addresses, and files.

    Two files may share a name (ResNet50 has such a pair) if their checksums tell them apart.
    """
    lists = [
        *(("models", "*", key) for key in ("scenarios", "accuracy", "requirements", "apt", "files")),
        ("models", "*", "compliance", "tests"),
        ("left_out", "*"),
        *(("models", "*", key, "*") for key in ("precisions", "backend_requirements")),
        ("models", "*", "files", "*", "urls"),
        *(("datasets", "*", key) for key in ("files", "series")),
        *(("datasets", "*", key, "*", "urls") for key in ("files", "series")),
        ("datasets", "*", "series", "*", "items"),
        *(("backends", "*", key) for key in ("formats", "suffixes", "writes")),
        *(("backends", "*", "devices", "*", key) for key in ("requirements", "pythons")),
        ("requirements",),
        ("pythons",),
    ]
    for pattern in lists:
        for path, items in values_at(data, *pattern):
            seen: set[str] = set()
            for index, item in enumerate(items if isinstance(items, list) else ()):
                key = _identity(item)
                if key in seen:
                    yield (*path, index), f"duplicate: {_brief(key.removesuffix(' None'))} is already in this list"
                seen.add(key)


def _identity(item: object) -> str:
    """What tells an item of a list from the others: a file's name and checksum, a score's metric, else the item."""
    if not isinstance(item, dict):
        return str(item)
    return str(item["metric"]) if "metric" in item else f"{item.get('name')} {item.get('md5')}"


def _absent(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield devices without which the matrix would have holes: one that a backend does not have has to be said."""
    for path, section in values_at(data, "devices"):
        yield from ((path, f"missing key {device}") for device in Device if _lacks(section, device))
    for path, section in values_at(data, "backends", "*", "devices"):
        yield from (
            (path, f"missing key {device}: write its requirements, or offered: false and the reason")
            for device in Device
            if _lacks(section, device)
        )


def _unobtainable(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield requirements with a local version (`2.13.0+cpu`) that nothing says where to find.

    Public indexes take none. Source: packaging.python.org, "Version specifiers", local version identifiers.
    """
    for path, requirement in values_at(data, "backends", "*", "devices", "*", "requirements", "*"):
        *on_device, _, _ = map(str, path)
        known = list(values_at(data, *on_device, "index"))
        if isinstance(requirement, str) and "+" in requirement and not known:
            where = ".".join((*on_device, "index"))
            yield path, f"the public index cannot have {_brief(requirement)}: name one in {where}"
    for path, requirement in (
        *values_at(data, "requirements", "*"),
        *values_at(data, "models", "*", "requirements", "*"),
        *values_at(data, "models", "*", "backend_requirements", "*", "*"),
    ):
        if isinstance(requirement, str) and "+" in requirement:
            yield path, f"the public index cannot have {_brief(requirement)}, and only backends have one of their own"


def _of_nothing(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield what would be left out of a requirement that nothing has."""
    wanted = (
        ("requirements", "*"),
        ("backends", "*", "devices", "*", "requirements", "*"),
        ("models", "*", "requirements", "*"),
        ("models", "*", "backend_requirements", "*", "*"),
    )
    known = {canonical(str(each)) for pattern in wanted for _, each in values_at(data, *pattern)}
    for path, _ in values_at(data, "left_out", "*"):
        if path[-1] not in known:
            yield path, f"nothing requires {_brief(str(path[-1]))}"


def _unsuitable(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield suites that cannot stand in for a base, and bases whose Python, or whose stand-in's, has no lock."""
    served = [str(each) for _, each in values_at(data, "pythons", "*")]
    for path, suite in values_at(data, "bases", "*", "suite"):
        if isinstance(suite, str) and suite not in DEBIAN:
            yield path, f"{suite} is no suite of Debian that can stand in: write {' or '.join(DEBIAN)}"
        elif isinstance(suite, str) and served and DEBIAN[suite] not in served:
            yield path, f"{suite} has Python {DEBIAN[suite]}, and the locks are for {', '.join(served)}"
    for path, python in values_at(data, "bases", "*", "python"):
        if isinstance(python, str) and served and python not in served:
            yield path, f"the locks are for Python {', '.join(served)} (found {python!r})"
    for path, python in values_at(data, "backends", "*", "devices", "*", "pythons", "*"):
        if isinstance(python, str) and served and python not in served:
            yield path, f"only some of {', '.join(served)} can be chosen (found {python!r})"


def _undistributed(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield distributions that no requirement beside them names."""
    for path, name in values_at(data, "backends", "*", "devices", "*", "distribution"):
        there = [canonical(str(each)) for _, each in values_at(data, *map(str, path[:-1]), "requirements", "*")]
        if isinstance(name, str) and name not in there:
            yield path, f"no requirement is of {_brief(name)}"


def _unreadable(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield formats of official files that the container of their backend does not read."""
    for path, file in values_at(data, "models", "*", "files", "*"):
        backend, found = (file.get("backend"), file.get("format")) if isinstance(file, dict) else (None, None)
        known = [str(each) for _, each in values_at(data, "backends", str(backend), "formats", "*")]
        if known and isinstance(found, str) and found not in known:
            yield (*path, "format"), f"{backend} reads no {_brief(found)}; it reads {', '.join(known)}"


def _declared_twice(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield options of a model that another model, or the same, has with other values: a command has but one."""
    first: dict[tuple[str, str], tuple[str, object]] = {}
    for path, option in values_at(data, "models", "*", "options", "*", "*"):
        if not isinstance(option, dict):
            continue
        _, model, _, command, _ = map(str, path)
        taken = (option.get("choices"), option.get("least"), option.get("metavar"))
        known, values = first.setdefault((command, str(option.get("name"))), (model, taken))
        if values != taken:
            yield path, f"{shown(option.get('name'))} takes other values in {known}"


def _brief(text: str) -> str:
    return printable.shortened(text, LONGEST_MESSAGE)


def _lacks(section: object, key: str) -> bool:
    return isinstance(section, dict) and key not in section


def values_at(data: object, *pattern: str, at: yaml_lines.Path = ()) -> Iterator[tuple[yaml_lines.Path, Any]]:
    """Yield path and value of everything at *pattern*, where `*` is any key or index; other shapes give nothing."""
    if not pattern:
        yield at, data
        return
    head, *rest = pattern
    if head != "*":
        if isinstance(data, dict) and head in data:
            yield from values_at(data[head], *rest, at=(*at, head))
        return
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield from values_at(value, *rest, at=(*at, key))
