"""Docstrings of modules and classes: noun first, so that a list of them reads as a list of things."""

import ast
import re
from pathlib import Path

import pytest

from mlperf_docker.system.paths import assets

MODULES = [
    path
    for top in ("mlperf_docker", "tests", "benchmarks")
    for path in sorted((assets() / top).rglob("*.py"))
    if path.stat().st_size
]
NO_NOUN = re.compile(
    r"(What|Whatever|Where|Whoever|Which|Who|How|Being|This|That|It|One|Whether|When|Get|From|Something|Each|Every) "
)
"""Beginnings of riddles: a clause, a pronoun or an order in place of the thing's name."""


def summary(node: ast.Module | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(assets())))
def test_a_modules_docstring_begins_with_a_noun(path: Path) -> None:
    found = summary(ast.parse(path.read_text()))
    assert found, "no docstring"
    assert not NO_NOUN.match(found), found
    assert "→" not in found, "an arrow in place of a sentence"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(assets())))
def test_a_classs_docstring_begins_with_a_noun(path: Path) -> None:
    classes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    assert [f"{each.name}: {summary(each)}" for each in classes if NO_NOUN.match(summary(each))] == []
