"""Layers of the package: an import that runs upward, or into the other half, fails here."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.system.paths import assets

from .imports import (
    BY_A_VARIABLE,
    Floors,
    Import,
    circles,
    crossings,
    foreign,
    imports,
    is_in,
    modules,
    room_of,
    upward,
)

NAME = "mlperf_docker"
PACKAGE = assets() / NAME
HARNESS = f"{NAME}.harness"
REFERENCE = f"{NAME}.reference_harness"
"""The harness of the reference implementations, above the other."""
FOUND = imports(PACKAGE)

CONTRACT = f"{NAME}.contract"
CONTRACTS = (CONTRACT, f"{NAME}.reference_contract")
SHARED = [NAME, *(module for module in modules(PACKAGE) if any(is_in(module, each) for each in CONTRACTS))]
"""What the host's tool and the harness both may import."""

BY_NAME = {
    f"{HARNESS}.__main__",
    f"{HARNESS}.weights.frameworks",
    f"{HARNESS}.backends.registry",
    f"{HARNESS}.models.registry",
    f"{NAME}.recipe.install",
    f"{REFERENCE}.models.files",
    f"{REFERENCE}.forms.model_files",
    f"{REFERENCE}.models.resnet50",
    f"{REFERENCE}.models.retinanet",
    f"{REFERENCE}.script.restored_names",
}
"""Modules that import what a table or their caller names, or whatever is installed."""

IMPORTED_AS = {
    "mlcommons-loadgen": "mlperf_loadgen",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "protobuf": "google",
    "pyyaml": "yaml",
    "tensorflow-cpu": "tensorflow",
}
"""Requirements whose packages have another name."""

UNDECLARED = {"_typeshed", "urllib3"}
"""The type checker's own stubs, and what requests is made of."""


def _floors(top: str, *floors: dict[str, str]) -> Floors:
    return [{room: [f"{top}.{name}" for name in names.split()] for room, names in rooms.items()} for rooms in floors]


# A module imports from its own room and from floors below it. New modules are put where they belong.
HOST = _floors(
    NAME,
    {"contract": "contract"},
    {"words": "errors names", "reference contract": "reference_contract"},
    {"system": "system"},
    {"display": "display", "host": "host"},
    {"catalog": "catalog", "results": "results", "registry": "registry"},
    {
        "recipe": "recipe",
        "inputs": "inputs",
        "engine": "engine",
        "rounds": "rounds",
        "report": "report",
        "reference": "reference",
    },
    {"images": "images", "systems": "systems"},
    {"bundle": "bundle", "maintenance": "maintenance"},
    {"runtimes": "runtimes"},
    {"runs": "runs"},
    {"evidence": "evidence", "campaigns": "campaigns", "tuning": "tuning"},
    {"submission": "submission", "clusters": "clusters"},
    {"cli": "cli"},
)
HARNESS_FLOORS = _floors(
    HARNESS,
    {"api": "api"},
    {"system": "system", "architectures": "architectures", "ops": "ops"},
    {"samples": "samples", "weights": "weights"},
    {"loadgen": "loadgen", "calibration": "calibration", "backends": "backends"},
    {"models": "models", "compliance": "compliance"},
    {"commands": "commands"},
    {"command line": "__main__ sbom"},
)
REFERENCE_FLOORS = _floors(
    REFERENCE,
    {"script": "script", "forms": "forms", "rates": "rates"},
    {"models": "models"},
    {"runs": "runs"},
    {"command line": "__main__ sbom"},
)
UPWARD: set[tuple[str, str]] = set()
"""Imports that still run upward, or to a neighbour. One that is gone has to go from here; none is to be added."""


def test_the_package_is_read() -> None:
    assert {NAME, HARNESS, f"{NAME}.cli.run"} <= modules(PACKAGE).keys()
    assert (f"{NAME}.cli.limits", f"{NAME}.engine.plan") in {each.pair for each in FOUND}


def test_host_and_harness_never_import_each_other() -> None:
    without = [each for each in FOUND if not is_in(each.importer, REFERENCE)]
    assert _told(crossings(without, HARNESS, SHARED)) == []


def test_nothing_imports_the_reference_harness_and_it_imports_contracts_and_harness() -> None:
    crossing = crossings(FOUND, REFERENCE, SHARED)
    assert [each for each in _told(crossing) if f" imports {HARNESS}" not in each] == []
    assert any(is_in(each.importer, REFERENCE) for each in crossing)


def test_the_harness_does_without_what_only_the_reference_layer_has() -> None:
    own = [each for each in FOUND if is_in(each.importer, HARNESS) or is_in(each.importer, CONTRACT)]
    assert [each for each in own if is_in(each.imported, CONTRACTS[1]) or is_in(each.imported, REFERENCE)] == []


def test_the_contract_imports_the_standard_library_and_itself() -> None:
    own = [each for each in FOUND if is_in(each.importer, CONTRACT)]
    assert {each.importer for each in own}, "no module of the contract was read"
    assert [each for each in own if is_in(each.imported, NAME) and not is_in(each.imported, CONTRACT)] == []
    assert foreign(own, NAME).keys() - sys.stdlib_module_names == set()


def test_modules_that_import_by_a_variable_are_known() -> None:
    assert {each.importer for each in FOUND if each.imported == BY_A_VARIABLE} == BY_NAME


@pytest.mark.parametrize("half", ["host", "harness"])
def test_each_half_imports_what_it_declares_and_nothing_else(half: str) -> None:
    """The host does without frameworks, the harness without docker and typer, also where they are installed."""
    own = [
        each for each in FOUND if any(is_in(each.importer, top) for top in (HARNESS, REFERENCE)) is (half == "harness")
    ]
    used = foreign(own, NAME).keys() - sys.stdlib_module_names - UNDECLARED
    assert used == _declared(half)


def test_docker_py_is_known_to_few_modules() -> None:
    """All others ask an engine by the protocol of this tool, and hear of its faults by this tool's own errors."""
    found = {each.importer.removeprefix(f"{NAME}.") for each in foreign(FOUND, NAME)["docker"]}
    assert found == {"engine.client", "engine.address", "registry.logins"}


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Not even for types."""
    assert circles(FOUND) == []


def test_every_module_has_a_room_and_every_name_of_a_room_a_module() -> None:
    floors = (*HOST, *HARNESS_FLOORS, *REFERENCE_FLOORS)
    names = {name for rooms in floors for each in rooms.values() for name in each}
    known = modules(PACKAGE).keys()
    assert [module for module in known - {NAME, HARNESS, REFERENCE} if room_of(module, floors) is None] == []
    assert names - known == set()


def test_imports_run_down_the_floors() -> None:
    found = upward(FOUND, HOST) | upward(FOUND, HARNESS_FLOORS) | upward(FOUND, REFERENCE_FLOORS)
    assert found == {(f"{NAME}.{importer}", f"{NAME}.{imported}") for importer, imported in UPWARD}


def test_a_class_name_means_one_thing() -> None:
    """Only errors that host and harness raise alike share their names, and what two models each have of their own."""
    places: dict[str, set[str]] = {}
    for module, path in modules(PACKAGE).items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, set()).add(module)
    shared = {name for name, found in places.items() if len(found) > 1}
    assert shared <= {"DatasetError", "DeviceError", "Form", "ModelFileError", "UsageError"}


def _told(found: list[Import]) -> list[str]:
    return [f"{each.importer}:{each.line} imports {each.imported}" for each in found]


def _declared(half: str) -> set[str]:
    """The packages that pyproject.toml or images.yaml declares for a half, by the names that they are imported by."""
    project = tomllib.loads(Path(assets() / "pyproject.toml").read_text())
    extras = [line for lines in project["project"]["optional-dependencies"].values() for line in lines]
    lines = [*project["project"]["dependencies"], *extras] if half == "host" else [*_of_images()]
    names = [re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0] for line in lines]
    return {IMPORTED_AS.get(name, name) for name in names}


def _of_images() -> Iterator[str]:
    """What images for the CPU ask for, one package each."""
    for spec in Catalog.load().specs:
        if not spec.device.profile.is_accelerator:
            yield from (*spec.common_requirements, *spec.backend_requirements, *spec.model_requirements)
