"""The reader of imports, on small packages: each form of an import is seen, and each broken rule is found."""

from pathlib import Path

import pytest

from .imports import BY_A_VARIABLE, Floors, circles, crossings, foreign, imports, modules, room_of, upward


def package(folder: Path, **sources: str) -> Path:
    """A package `tool` with the named modules, in which `__` is a dot."""
    root = folder / "tool"
    for name, source in sources.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    for inner in (root, *(path for path in root.rglob("*") if path.is_dir())):
        (inner / "__init__.py").touch()
    return root


FORMS = [
    "import tool.harness.run",
    "import tool.harness.run as steps",
    "import os, tool.harness.run",
    "from tool import harness",
    "from tool import errors, harness as other",
    "from tool.harness import run",
    "from tool.harness import VERSION",
    "from tool.harness.run import test",
    "from tool.harness.run import *",
    "from ..harness import run",
    "from .. import harness",
    "from ..harness.run import test",
    "def f():\n    from tool import harness",
    "async def f():\n    import tool.harness.run",
    "class A:\n    def f(self):\n        import tool.harness.run",
    "try:\n    import tool.harness.run\nexcept ImportError:\n    pass",
    "match 1:\n    case 1:\n        import tool.harness.run",
    "with open('a'):\n    for _ in ():\n        import tool.harness.run",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tool import harness",
    "import typing\nif typing.TYPE_CHECKING:\n    from tool.harness import run",
    "import importlib\nimportlib.import_module('tool.harness.run')",
    "import importlib\nimportlib.import_module(name='tool.harness.run')",
    "import importlib as i\nrun = lambda: i.import_module('tool.harness.run').test",
    "from importlib import import_module\nimport_module('..harness.run', __package__)",
    "from importlib import import_module as load\nload('tool.harness')",
    "__import__('tool.harness.run')",
    "import importlib\nTABLE = {'run': ('tool.harness.run', 'test')}\nimportlib.import_module(TABLE['run'][0])",
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_import_is_a_crossing(tmp_path: Path, form: str) -> None:
    root = package(tmp_path, cli__main=form, errors="", harness__run="")
    (found,) = crossings(imports(root), "tool.harness", ["tool"])
    assert found.importer == "tool.cli.main"
    assert found.imported in ("tool.harness", "tool.harness.run")
    assert form.splitlines()[found.line - 1].strip()


@pytest.mark.parametrize(
    "form",
    [
        "# from tool import harness",
        '"""from tool import harness"""',
        "from tool import VERSION, errors",
        "import tool",
        "import toolharness",
        "from tool.harness_log import lines",
        "ARGUMENTS = ['-m', 'tool.harness.run']",
    ],
)
def test_similar_names_are_no_crossing(tmp_path: Path, form: str) -> None:
    root = package(tmp_path, cli__main=form, errors="", harness__run="", harness_log="")
    assert crossings(imports(root), "tool.harness", ["tool"]) == []


@pytest.mark.parametrize("form", ["from tool import errors", "from ..errors import E", "import tool.cli.main"])
def test_the_harness_may_not_import_the_host_either(tmp_path: Path, form: str) -> None:
    root = package(tmp_path, cli__main="", errors="", harness__run=form)
    assert [each.importer for each in crossings(imports(root), "tool.harness", ["tool"])] == ["tool.harness.run"]


def test_shared_modules_import_neither_half(tmp_path: Path) -> None:
    root = package(tmp_path, words="from tool import errors", errors="", harness__run="from tool import words")
    (found,) = crossings(imports(root), "tool.harness", ["tool", "tool.words"])
    assert found.pair == ("tool.words", "tool.errors")


def test_modules_go_by_their_dotted_names(tmp_path: Path) -> None:
    assert set(modules(package(tmp_path, a="", b__c=""))) == {"tool", "tool.a", "tool.b", "tool.b.c"}


def test_foreign_packages_go_by_their_first_word(tmp_path: Path) -> None:
    source = "import os.path\ndef f():\n    from numpy.typing import NDArray\n    from . import b\n"
    found = foreign(imports(package(tmp_path, a=source, b="")), "tool")
    assert {name: [each.line for each in where] for name, where in found.items()} == {"os": [1], "numpy": [3]}


def test_an_import_by_a_variable_is_told(tmp_path: Path) -> None:
    root = package(tmp_path, a="import importlib\ndef f(name):\n    return importlib.import_module(name)\n")
    assert BY_A_VARIABLE in {each.imported for each in imports(root)}


@pytest.mark.parametrize(
    ("source", "for_types"),
    [
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", {"a": True, "b": False}),
        ("if not TYPE_CHECKING:\n    import a\nelse:\n    import b", {"a": False, "b": True}),
        ("if TYPE_CHECKING:\n    if x:\n        import a\nimport b", {"a": True, "b": False}),
        ("if x:\n    import a\ndef f():\n    import b", {"a": False, "b": False}),
    ],
)
def test_imports_for_types_alone_are_told_from_others(tmp_path: Path, source: str, for_types: dict[str, bool]) -> None:
    assert {each.imported: each.for_types for each in imports(package(tmp_path, x=source))} == for_types


def test_circles_are_found_whatever_their_length(tmp_path: Path) -> None:
    root = package(
        tmp_path,
        a="from tool import b",
        b="def f():\n    from tool import c",
        c="import tool.a",
        d="from tool import a",
        e__f="from tool.e import g",
        e__g="from . import f",
    )
    assert circles(imports(root)) == [{"tool.a", "tool.b", "tool.c"}, {"tool.e.f", "tool.e.g"}]


def test_a_package_that_gathers_names_can_close_a_circle(tmp_path: Path) -> None:
    """An import of `tool.e.f` runs `tool.e`, and that imports the one that asked."""
    root = package(tmp_path, a="import tool.e.f", e__f="")
    assert circles(imports(root)) == []
    (root / "e" / "__init__.py").write_text("from tool import a\n")
    assert circles(imports(root)) == [{"tool.a", "tool.e"}]


FLOORS: Floors = [
    {"ground": ["tool.errors"]},
    {"left": ["tool.left"], "right": ["tool.right"]},
    {"roof": ["tool.roof", "tool.left.tile"]},
]


@pytest.mark.parametrize(
    ("module", "room"),
    [
        ("tool.errors", (0, "ground")),
        ("tool.left", (1, "left")),
        ("tool.left.a", (1, "left")),
        ("tool.left.tile", (2, "roof")),
        ("tool.leftover", None),
    ],
)
def test_a_module_is_in_the_room_that_names_it_most_exactly(module: str, room: tuple[int, str] | None) -> None:
    assert room_of(module, FLOORS) == room


@pytest.mark.parametrize(
    ("sources", "pairs"),
    [
        ({"roof": "from tool.left import a\nfrom tool import errors", "left__a": "from tool import errors"}, set()),
        ({"left__a": "from tool.left import b", "left__b": ""}, set()),
        ({"left__a": "from tool.right import b", "right__b": ""}, {("tool.left.a", "tool.right.b")}),
        ({"errors": "def f():\n    import tool.roof", "roof": ""}, {("tool.errors", "tool.roof")}),
        ({"left__a": "from . import tile", "left__tile": ""}, {("tool.left.a", "tool.left.tile")}),
    ],
)
def test_imports_go_down_the_floors(tmp_path: Path, sources: dict[str, str], pairs: set[tuple[str, str]]) -> None:
    root = package(tmp_path, **{"errors": "", **sources})
    assert upward(imports(root), FLOORS) == pairs
