"""Layer of a reference implementation: the recipe of an image that is a cell's and one layer more."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.reference import OnBackend, ReferenceSpec
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.devices import Device
from mlperf_docker.errors import UsageError
from mlperf_docker.names import HarnessName
from mlperf_docker.recipe import render
from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile, Layer, OwnIndex
from mlperf_docker.recipe.layout import LAYOUT
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.recipe.requirements import Pin, parse
from mlperf_docker.reference_contract import places
from mlperf_docker.system import paths

LAYER = "reference"
MODULE = "mlperf_docker.reference_harness"
TEMPLATE = "reference.Dockerfile.j2"
_PACKAGES = ("reference_contract", "reference_harness")


def reference_of(spec: ImageSpec) -> tuple[ReferenceSpec, OnBackend]:
    """The reference of the cell *spec*. Raises UsageError, with the reason, where it cannot run."""
    reference = spec.model.reference
    if reference is None:
        raise UsageError(f"{spec.model.name} has no reference implementation in images.yaml.")
    reason = reference.why_not(spec.backend, spec.device)
    if reason:
        able = ", ".join(_able(reference, spec.device))
        raise UsageError(
            f"The reference of {spec.model.name} cannot run on {spec.backend} and {spec.device}: {reason}.",
            hint=f"It can on {able}." if able else f"It can on no backend and {spec.device}.",
        )
    return reference, reference.on(spec.backend)


def _able(reference: ReferenceSpec, device: Device) -> Iterator[str]:
    return (name for name in reference.backends if not reference.why_not(name, device))


def with_reference(catalog: Catalog) -> Iterator[ImageSpec]:
    """Yield the cells whose reference can run."""
    return filter(_can_run, catalog.specs)


def _can_run(spec: ImageSpec) -> bool:
    """Whether there is a reference of the cell that can run."""
    reference = spec.model.reference
    return reference is not None and not reference.why_not(spec.backend, spec.device)


def recipe_with(spec: ImageSpec, harness: HarnessName) -> Recipe:
    """What the image of a cell with *harness* is made from. Raises UsageError where the reference cannot run."""
    return render.recipe_of(spec) if harness is HarnessName.OWN else reference_recipe(spec)


def index_of(spec: ImageSpec, on: OnBackend) -> str | None:
    """The index with wheels that the public one lacks; None where all are in that."""
    return on.index or spec.own_index


def recipes(chosen: Iterable[ImageSpec], harness: HarnessName, *, every: bool) -> list[Recipe]:
    """Return the recipes of the *chosen* cells' images: their own, or those with the reference.

    every: leave out cells whose reference cannot run. Raises UsageError for one that was named, or where none is left.
    """
    leaving_out = every and harness is HarnessName.REFERENCE
    found = [recipe_with(spec, harness) for spec in chosen if not leaving_out or _can_run(spec)]
    if not found:
        raise UsageError("The reference can run on none of these cells.", hint="docs/reference.md tells where it can.")
    return found


def recipe_named(catalog: Catalog, name: str) -> Recipe | None:
    """Return the recipe of the image that is called *name*, as `str` of a recipe has it; None where there is none."""
    cell = name.removesuffix(f"-{LAYER}")
    spec = next((each for each in catalog.specs if str(each) == cell), None)
    if spec is None or cell == name:
        return render.recipe_of(spec) if spec else None
    return reference_recipe(spec) if _can_run(spec) else None


def lock_of(spec: ImageSpec) -> str:
    """Path of a reference's lock below locks/."""
    return f"reference/{spec.model.name}-{spec.lock}"


def reference_recipe(spec: ImageSpec) -> Recipe:
    """Return everything that the image with the reference of *spec* is made from, on that of the cell.

    Raises UsageError where the reference cannot run, or its lock is missing.
    """
    reference, on = reference_of(spec)
    below = render.recipe_of(spec)
    pins = tuple(_pins(spec, on, below))
    index = index_of(spec, on)
    own_index = OwnIndex(index, spec.base.python) if index else None
    layers = (Layer(LAYER, pins, index=own_index, apart=on.own_venv),)
    described = reference.described(spec.backend, spec.device)
    files = (
        *_tools(on),
        *render.package_files(_PACKAGES),
        ContextFile(f"harness/{Path(places.DESCRIPTION).name}", described.to_json().encode()),
    )
    dockerfile = render.render_template(
        TEMPLATE,
        spec=spec,
        layout=LAYOUT,
        layer=LAYER,
        packages=on.requirements if pins else (),
        module=MODULE,
    )
    inputs = BuildInputs(dockerfile, files, layers if pins else ())
    return Recipe(spec, inputs, below, described.commit, MODULE)


def _pins(spec: ImageSpec, on: OnBackend, below: Recipe) -> Iterator[Pin]:
    """What the layer installs: everything in a virtual environment of its own, else what the cell's image lacks."""
    if not on.requirements:
        return
    locked = parse(_read_lock(paths.assets() / "locks" / lock_of(spec)))
    present = set() if on.own_venv else {pin.name for layer in below.inputs.layers for pin in layer.pins}
    yield from (replace(pin, parents=frozenset()) for _, pin in sorted(locked.items()) if pin.name not in present)


def _read_lock(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"There is no lock at {path}.", hint="Make it with: mlperf-docker lock") from error


def _tools(on: OnBackend) -> tuple[ContextFile, ...]:
    """The script of the install steps, and the layout: another virtual environment where the reference has its own."""
    script, layout = render.tools()
    if not on.own_venv:
        return script, layout
    places_there = {**json.loads(layout.data), "venv": places.VENV}
    return script, replace(layout, data=(json.dumps(places_there, indent=2) + "\n").encode())
