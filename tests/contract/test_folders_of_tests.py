"""Folders and names of the tests: a test file is named after the module that it tests, a test is found by its name."""

import re
from collections import Counter
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


def test_a_name_of_a_test_occurs_once() -> None:
    """One word of `pytest -k` is one test, and a name says of what it is."""
    names = Counter(
        name for path in TESTS.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    )
    assert [name for name, times in names.items() if times > 1] == []


def test_a_name_of_a_test_has_a_subject() -> None:
    """`test_what_is_wrong` tells nothing to who reads a list of failures."""
    riddle = re.compile(r"def (test_(?:what|where|which|who|whoever|whose|it|its|they|those)_\w+)")
    assert [name for path in TESTS.rglob("test_*.py") for name in riddle.findall(path.read_text())] == []
