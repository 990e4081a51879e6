"""Catalog of all cells, loaded from images.yaml: parsed, validated, completed with defaults."""

import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from mlperf_docker.catalog import checked_yaml
from mlperf_docker.catalog.checked_yaml import FileProblemsError, validate
from mlperf_docker.catalog.checks import cross_check, values_at
from mlperf_docker.catalog.entries import DEFAULT_PRECISIONS, SECTIONS, BackendEntry, Entries, Outline
from mlperf_docker.catalog.fields import Frozen
from mlperf_docker.catalog.spec import AbsentCell, BackendSpec, ImageSpec, ModelSpec
from mlperf_docker.catalog.yaml_lines import Document, Problems, dotted
from mlperf_docker.contract.devices import Device
from mlperf_docker.system import paths

_Entry = TypeVar("_Entry", bound=Frozen)


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
        entries, problems = _validate(checked_yaml.read(path, CatalogError))
        if entries is None or problems:
            raise CatalogError(path, problems)
        models = tuple(_model(name, entries) for name in entries.models)
        backends, devices = tuple(map(_backend, entries.backends.values())), tuple(map(Device, entries.devices))
        return cls(entries.outline.registry, backends, devices, models, tuple(_cells(entries, models, devices)))


class CatalogError(FileProblemsError):
    """images.yaml has problems."""

    called = "catalog"


def _validate(document: Document) -> tuple[Entries | None, Problems]:
    """Return the entries and everything that is wrong with them; no entries if a part could not be read."""
    problems = document.problems
    data = checked_yaml.mapping_of(document, Outline.model_fields)
    if data is None:
        return None, problems
    outline = validate(document, Outline, data, (), problems)
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
        entry = validate(document, kind, value, (section, name), problems)
        if entry is not None:
            valid[str(name)] = entry
    return valid


def _backend(entry: BackendEntry) -> BackendSpec:
    return BackendSpec(name=entry.name, formats=entry.formats, suffixes=entry.suffixes, writes=entry.writes)


def _model(name: str, entries: Entries) -> ModelSpec:
    entry = entries.models[name]
    return ModelSpec(
        name=name,
        title=entry.title,
        loadgen_key=entry.loadgen_key,
        input_types=entry.input_types,
        dataset=entries.datasets[entry.dataset],
        default_backend=entry.default_backend or entries.outline.default_backend,
        scenarios=entry.scenarios,
        accuracy=entry.accuracy,
        compliance=entry.compliance,
        options=entry.options,
        reference=entry.reference,
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
