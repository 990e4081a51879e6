"""Selection of cells by name. For an unknown name the error lists the nearest ones, then all."""

import difflib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TypeVar

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import AbsentCell, DatasetSpec, ImageSpec, ModelSpec
from mlperf_docker.errors import UsageError

_Choice = TypeVar("_Choice", bound=StrEnum)
_Word = TypeVar("_Word", bound=str)


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice that *name* most probably means, or None if nothing is near. Case does not count."""
    by_folded = {choice.casefold(): choice for choice in choices}
    matches = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.5)
    return by_folded[matches[0]] if matches else None


class UnknownNameError(UsageError):
    """A word that is not one of a closed set."""

    def __init__(self, kind: str, name: str, choices: Iterable[str]) -> None:
        self.kind, self.name, self.choices = kind, name, tuple(choices)
        near = nearest(name, self.choices)
        guess = f" Did you mean {near}?" if near else ""
        super().__init__(f"Unknown {kind} {str(name)!r}.{guess} Known: {', '.join(self.choices)}.")


class NotOfferedError(UsageError):
    """A cell, or several, that images.yaml leaves out; with the reason, and what is offered in its place."""

    def __init__(self, catalog: Catalog, cells: Sequence[AbsentCell]) -> None:
        self.cells = tuple(cells)
        named = {cell.reason: str(cell) if len(self.cells) == 1 else cell.variant for cell in self.cells}
        message = "\n".join(f"{name} is not offered: {reason}" for reason, name in named.items())
        super().__init__(message, hint=_offered_instead(catalog, self.cells[0]))


def _offered_instead(catalog: Catalog, cell: AbsentCell) -> str | None:
    """Return the cells of the same model that share the device, else the backend, as words of a command line."""
    of_model = [spec for spec in catalog.specs if spec.model == cell.model]
    on_device = [spec.words for spec in of_model if spec.device == cell.device]
    others = on_device or [spec.words for spec in of_model if spec.backend == cell.backend]
    return f"Offered in its place: {', '.join(others)}." if others else None


def parse_choice(kind: str, name: str, choices: Iterable[_Choice]) -> _Choice:
    """Return the member that *name* spells, in any case. kind: what to call it in the UnknownNameError."""
    return _spelt(kind, name, list(choices))


def _spelt(kind: str, name: str, choices: Sequence[_Word]) -> _Word:
    for choice in choices:
        if choice.casefold() == name.casefold():
            return choice
    raise UnknownNameError(kind, name, choices)


def find_model(catalog: Catalog, name: str) -> ModelSpec:
    """Return the model called *name*. Raises UnknownNameError."""
    for model in catalog.models:
        if model.name == name.casefold():
            return model
    raise UnknownNameError("model", name, [model.name for model in catalog.models])


def find_backend(catalog: Catalog, name: str) -> str:
    """Return the name of the backend that *name* spells, in any case. Raises UnknownNameError."""
    return _spelt("backend", name, [backend.name for backend in catalog.backends])


def find(catalog: Catalog, model: str, backend: str | None = None, device: str | None = None) -> ImageSpec:
    """Return the cell that is named; the model's default backend and the first device stand in for what is not given.

    Raises UnknownNameError, and NotOfferedError for a cell that images.yaml leaves out.
    """
    found = find_model(catalog, model)
    on = find_backend(catalog, backend) if backend else found.default_backend
    (spec,) = find_all(catalog, found.name, on, device or catalog.devices[0])
    return spec


def find_all(
    catalog: Catalog, model: str | None = None, backend: str | None = None, device: str | None = None
) -> tuple[ImageSpec, ...]:
    """Return every cell that fits what is given and is offered (`--all`).

    Raises UnknownNameError, and NotOfferedError where none of them is offered.
    """
    wanted_model = find_model(catalog, model) if model else None
    wanted_backend = find_backend(catalog, backend) if backend else None
    wanted_device = _spelt("device", device, catalog.devices) if device else None
    fitting = [
        cell
        for cell in catalog.cells
        if wanted_model in (None, cell.model)
        and wanted_backend in (None, cell.backend)
        and wanted_device in (None, cell.device)
    ]
    offered = tuple(cell for cell in fitting if isinstance(cell, ImageSpec))
    if not offered:
        raise NotOfferedError(catalog, [cell for cell in fitting if isinstance(cell, AbsentCell)])
    return offered


def select(catalog: Catalog, model: str, backend: str, device: str, *, every: bool = False) -> tuple[ImageSpec, ...]:
    """Return the cell that is named, or with *every* (`--all`) each one that fits; "" stands for what is not given.

    Raises UsageError.
    """
    if every:
        return find_all(catalog, model, backend, device)
    if not model:
        names = ", ".join(model.name for model in catalog.models)
        raise UsageError(f"No model is named. Known: {names}.", hint="Name one, or take every cell with --all.")
    return (find(catalog, model, backend, device),)


def find_dataset(catalog: Catalog, name: str) -> DatasetSpec:
    """Return the data set called *name*, or that of the model called so. Raises UnknownNameError."""
    named = {each.name: each for each in catalog_datasets(catalog)}
    of_models = {model.name: model.dataset for model in catalog.models}
    found = {**of_models, **named}.get(name.casefold())
    if found is None:
        raise UnknownNameError("data set", name, [*named, *of_models])
    return found


def catalog_datasets(catalog: Catalog) -> list[DatasetSpec]:
    """Return every data set that a model uses, once, in the catalog's order."""
    return list({model.dataset.name: model.dataset for model in catalog.models}.values())


def models_of(catalog: Catalog, dataset: DatasetSpec) -> list[ModelSpec]:
    """Return the models that *dataset* is for."""
    return [model for model in catalog.models if model.dataset.name == dataset.name]
