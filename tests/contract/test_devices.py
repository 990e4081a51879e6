"""Profiles of devices: complete, and asked in place of the device's name everywhere else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.contract import devices
from mlperf_docker.contract.devices import Device
from mlperf_docker.system.paths import assets

from .imports import modules

PACKAGE = assets() / "mlperf_docker"


def test_every_device_has_a_profile_and_an_entry_in_the_catalog() -> None:
    assert devices.PROFILES.keys() == set(Device)
    assert set(Catalog.load().devices) == set(Device)


@pytest.mark.parametrize("device", Device)
def test_a_profile_fits_together(device: Device) -> None:
    profile = device.profile
    assert profile.title
    assert profile.memory
    assert profile.is_accelerator is bool(profile.signs)
    assert not (profile.runtime and not profile.requirement)


def test_a_framework_that_has_no_name_of_its_own_takes_the_devices() -> None:
    assert Device.CUDA.name_for("tensorflow") == "GPU"
    assert Device.CUDA.name_for("a new one") == "cuda"


def test_no_code_asks_which_device_one_is() -> None:
    """A third device would be what an `if` takes for the rest: profiles are asked. The CPU may be named to run on."""
    found = [f"{path.relative_to(PACKAGE)}:{line}" for path in modules(PACKAGE).values() for line in _tests(path)]
    assert [each for each in found if not each.startswith("contract/devices.py")] == []


def _tests(path: Path) -> Iterator[int]:
    """Lines with a comparison, a pattern or a key of a dictionary that is one device."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        values: list[ast.expr | None] = []
        match node:
            case ast.Compare(left=left, comparators=others):
                values = [left, *others]
                if any(isinstance(each, ast.Attribute) and each.attr == "device" for each in (left, *others)):
                    yield from (each.lineno for each in (left, *others) if _is_a_name(each))
            case ast.MatchValue(value=value):
                values = [value]
            case ast.Dict(keys=keys):
                values = list(keys)
        yield from (value.lineno for value in values if value is not None and _is_a_device(value))


def _is_a_name(value: ast.expr) -> bool:
    """Whether it is a device's name as a string."""
    return isinstance(value, ast.Constant) and value.value in {device.value for device in Device}


def _is_a_device(value: ast.expr) -> bool:
    match value:
        case ast.Attribute(value=ast.Name(id="Device"), attr=name):
            return name in Device.__members__
        case ast.Tuple(elts=elements) | ast.Set(elts=elements) | ast.List(elts=elements):
            return any(map(_is_a_device, elements))
    return False
