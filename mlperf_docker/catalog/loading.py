"""Catalog of all cells, loaded from images.yaml: parsed, validated, completed with defaults."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from mlperf_docker.catalog import yaml_lines
from mlperf_docker.catalog.checks import LONGEST_MESSAGE, cross_check, values_at
from mlperf_docker.catalog.entries import DEFAULT_PRECISIONS, SECTIONS, BackendEntry, Entries, Outline
from mlperf_docker.catalog.spec import AbsentCell, BackendSpec, Frozen, ImageSpec, ModelSpec
from mlperf_docker.catalog.yaml_lines import Document, Problem, Problems, dotted, shown
from mlperf_docker.contract.devices import Device
from mlperf_docker.display import printable
from mlperf_docker.errors import UsageError
from mlperf_docker.system import paths, small_file

_Entry = TypeVar("_Entry", bound=Frozen)

_LARGEST_BYTES = 1_000_000
_PROBLEMS_SHOWN = 50

# What a pattern means, for people; found by its beginning.
_SHAPES = {
    r"^3\.": 'not a version of Python: write for example "3.11"',
    r"^sha256:": "not a digest: write sha256: and 64 hexadecimal digits",
    r"^[0-9a-f]{32}": "not an MD5 checksum: write 32 hexadecimal digits",
    r"^[0-9a-f]{64}": "not a SHA-256 checksum: write 64 hexadecimal digits",
    r"^https?:": "not an address: write http:// or https://, a host and a path",
    r"^[A-Za-z0-9_]+(/": "not a folder of a library: write for example numpy/**/tests",
    r"^[A-Za-z0-9{]": "not a path below the data set's folder: write names with / between them, none of them hidden",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[": "not a requirement with its versions: write for example numpy>=2.2,<2.5",
}


@dataclass(frozen=True)
class Catalog:
    """The whole table, in the file's order."""

    registry: str
    backends: tuple[BackendSpec, ...]
    devices: tuple[Device, ...]
    models: tuple[ModelSpec, ...]
    cells: tuple[ImageSpec | AbsentCell, ...]
    """One for each model, backend and device."""

    @functools.cached_property
    def specs(self) -> tuple[ImageSpec, ...]:
        """The cells that are offered."""
        return tuple(cell for cell in self.cells if isinstance(cell, ImageSpec))

    @functools.cached_property
    def absent(self) -> tuple[AbsentCell, ...]:
        """The cells that are not offered."""
        return tuple(cell for cell in self.cells if isinstance(cell, AbsentCell))

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read *path*, by default the tool's own images.yaml. Raises UsageError with every problem and its line."""
        path = path or paths.assets() / "images.yaml"
        try:
            text = small_file.read(path, _LARGEST_BYTES).decode()
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise CatalogError(path, Problems([Problem(line, "not UTF-8")])) from error
        except OSError as error:
            raise UsageError(f"The catalog {path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
        except small_file.UnfitError as error:
            raise UsageError(f"The catalog {path} cannot be read: {error}.") from error
        document = yaml_lines.read(text)
        entries, problems = _validate(document)
        if entries is None or problems:
            raise CatalogError(path, problems)
        models = tuple(_model(name, entries) for name in entries.models)
        backends, devices = tuple(map(_backend, entries.backends.values())), tuple(map(Device, entries.devices))
        return cls(entries.outline.registry, backends, devices, models, tuple(_cells(entries, models, devices)))


class CatalogError(UsageError):
    """images.yaml has problems; all of them, in the order of their lines."""

    def __init__(self, path: Path, problems: Problems) -> None:
        self.path, self.problems = path, sorted(set(problems))
        shown = self.problems[:_PROBLEMS_SHOWN]
        lines = "\n".join(f"  {path}:{problem.line}: {problem.message}" for problem in shown)
        total = len(self.problems) + problems.more
        if total > len(shown):
            lines += f"\n  and {total - len(shown):,} more"
        count = f"{total:,} problem{'s' if total > 1 else ''}"
        super().__init__(f"The catalog has {count}:\n{lines}", hint="Correct the lines above and try again.")


def _validate(document: Document) -> tuple[Entries | None, Problems]:
    """Return the entries and everything that is wrong with them; no entries if a part could not be read."""
    problems = document.problems
    if not isinstance(document.data, dict):
        keys = ", ".join(Outline.model_fields)
        return None, problems or Problems([Problem(1, f"the file must be a mapping with the keys {keys}")])
    outline = _check(document, Outline, document.data, (), problems)
    sections: dict[str, dict[str, Any]] = {
        section: _section(document, section, kind, problems) for section, kind in SECTIONS.items()
    }
    for path, message in cross_check(document.data):
        problems.note(document.line(path), "{}: {}".format, dotted(path), message)
    return (Entries(outline, **sections) if outline else None), problems


def _section(document: Document, section: str, kind: type[_Entry], problems: Problems) -> dict[str, Any]:
    """Validate each entry of a section by itself; an entry's name is its key."""
    valid: dict[str, _Entry] = {}
    named = "name" in kind.model_fields
    for (_, name), raw in values_at(document.data, section, "*"):
        if named and isinstance(raw, dict) and "name" in raw:
            problems.note(
                document.line((section, name, "name")), "{}: unknown key".format, dotted((section, name, "name"))
            )
        value = {**raw, "name": name} if named and isinstance(raw, dict) else raw
        entry = _check(document, kind, value, (section, name), problems)
        if entry is not None:
            valid[str(name)] = entry
    return valid


def _check(
    document: Document, kind: type[_Entry], raw: object, prefix: yaml_lines.Path, problems: Problems
) -> _Entry | None:
    """Validate *raw* as *kind*; on failure add what is wrong, at its lines, and return None."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            path = prefix + tuple(part for part in each["loc"] if part != "[key]")
            problems.note(document.line(path), _explained, path, each)
        return None


def _explained(path: yaml_lines.Path, error: Mapping[str, Any]) -> str:
    return f"{dotted(path) or 'the file'}: {_explain(error)}"


def _explain(error: Mapping[str, Any]) -> str:
    """Return pydantic's error in the words of this file."""
    match error["type"]:
        case "missing":
            return "missing key"
        case "extra_forbidden":
            return "unknown key"
        case "string_pattern_mismatch":
            pattern = error["ctx"]["pattern"]
            shape = next((text for start, text in _SHAPES.items() if pattern.startswith(start)), "not a valid name")
            return f"{shape} (found {shown(error['input'])})"
        case "model_type" | "dict_type":
            return f"must be a mapping (found {shown(error['input'])})"
        case "value_error":  # of a validator of ours, which says what is wrong and where
            return printable.shortened(str(error["ctx"]["error"]), LONGEST_MESSAGE)
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]} (found {shown(error['input'])})"


def _backend(entry: BackendEntry) -> BackendSpec:
    return BackendSpec(name=entry.name, formats=entry.formats, suffixes=entry.suffixes, writes=entry.writes)


def _model(name: str, entries: Entries) -> ModelSpec:
    entry = entries.models[name]
    return ModelSpec(
        name=name,
        title=entry.title,
        loadgen_key=entry.loadgen_key,
        dataset=entries.datasets[entry.dataset],
        default_backend=entry.default_backend or entries.outline.default_backend,
        scenarios=entry.scenarios,
        accuracy=entry.accuracy,
        options=entry.options,
        files=entry.files,
    )


def _cells(
    entries: Entries, models: Iterable[ModelSpec], devices: Iterable[Device]
) -> Iterator[ImageSpec | AbsentCell]:
    for model, backend, device in itertools.product(models, entries.backends.values(), devices):
        entry, on = entries.models[model.name], backend.devices[device]
        own = entry.cells.get(backend.name, {}).get(device)
        if own is not None or not on.offered:
            reason = own.reason if own is not None else on.reason
            yield AbsentCell(model=model, backend=backend.name, device=device, reason=reason)
        else:
            yield _cell(entries, model, backend, device)


def _cell(entries: Entries, model: ModelSpec, backend: BackendEntry, device: Device) -> ImageSpec:
    entry, on = entries.models[model.name], backend.devices[device]
    return ImageSpec(
        model=model,
        backend=backend.name,
        device=device,
        base=entries.bases[on.base or entries.devices[device].base],
        pythons=_in_order(on.pythons or entries.outline.pythons),
        precisions=entry.precisions.get(backend.name, DEFAULT_PRECISIONS),
        apt=entry.apt,
        common_requirements=entries.outline.requirements,
        backend_requirements=on.requirements,
        model_requirements=(*entry.requirements, *entry.backend_requirements.get(backend.name, ())),
        distribution=on.distribution,
        own_index=on.index,
        left_out=entries.outline.left_out,
        environment={**entries.devices[device].environment, **backend.environment},
    )


def _in_order(pythons: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(pythons, key=lambda version: int(version.partition(".")[2])))
