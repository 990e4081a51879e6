"""Names given back to packages, for code that still uses them."""

import json
import math
import sys
import types

import pytest

from mlperf_docker.reference_harness.script.installed_packages import working_set
from mlperf_docker.reference_harness.script.restored_names import adapt, restore


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    made = types.ModuleType("once_here")
    made.__dict__.update(kept="kept", Kind=type("Kind", (), {"_now": "now"}))
    made.__spec__ = types.SimpleNamespace(name="once_here")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "once_here", made)
    return made


def test_a_name_that_is_gone_means_what_is_at_its_place(package: types.ModuleType) -> None:
    restore("once_here.tau", "math.tau")
    assert package.tau == math.tau


def test_an_attribute_of_a_class_comes_back_too(package: types.ModuleType) -> None:
    restore("once_here.Kind.once", "once_here.Kind._now")
    assert package.Kind.once == "now"


def test_a_name_that_is_there_is_left_alone(package: types.ModuleType) -> None:
    restore("once_here.kept", "math.tau")
    assert package.kept == "kept"


def test_a_module_that_is_gone_is_imported_from_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    restore("gone_for_good", "json")
    assert sys.modules["gone_for_good"] is json


def test_a_package_that_is_not_installed_is_no_matter() -> None:
    restore("not_installed.thing", "not_installed.other")
    assert "not_installed" not in sys.modules


def test_installed_packages_have_their_keys() -> None:
    assert {"numpy", "mlcommons-loadgen"} & {each.key.replace("_", "-") for each in working_set} != set()


def test_a_call_gets_its_old_meaning(package: types.ModuleType) -> None:
    package.__dict__.update(call=lambda path: path, of_old=lambda call: lambda path: f"{call(path)} of old")
    adapt("once_here.call", "once_here.of_old")
    assert package.call("it") == "it of old"


def test_a_call_of_a_package_that_is_not_installed_is_no_matter() -> None:
    adapt("not_installed.thing", "math.tau")
    assert "not_installed" not in sys.modules
