"""Folders of the tests against folders of the package: a test file is named after the module that it tests."""

from pathlib import Path

from mlperf_docker.system.paths import assets

PACKAGE, TESTS = assets() / "mlperf_docker", assets() / "tests"
OWN = TESTS / "contract"
"""Tests of both halves together: the one folder that has a package's name and another order."""
ROOMS = [
    each for each in TESTS.rglob("*") if (PACKAGE / each.relative_to(TESTS) / "__init__.py").is_file() and each != OWN
]


def test_a_test_file_has_the_name_of_a_module_beside_the_same_path() -> None:
    strangers = [str(path) for room in ROOMS for path in room.glob("test_*.py") if not _subjects(path)]
    assert strangers == []


def test_every_package_of_the_host_and_the_harness_have_tests() -> None:
    rooms = [TESTS / each.parent.name for each in PACKAGE.glob("*/__init__.py")]
    assert [room for room in rooms if not any(room.rglob("test_*.py"))] == []


def _subjects(path: Path) -> list[str]:
    """Return the modules, or the folder, that a test file is named after; more words may follow the name."""
    folder = path.parent.relative_to(TESTS)
    modules = [each.stem for each in (PACKAGE / folder).iterdir() if each.suffix == ".py" or each.is_dir()]
    known = [*modules, folder.name]
    stem = path.stem.removeprefix("test_")
    return [name for name in known if stem == name or stem.startswith(f"{name}_")]
