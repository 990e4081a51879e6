"""Docstrings of modules: noun first, so that a list of modules reads as a list of things."""

import ast
import re
from pathlib import Path

import pytest

from mlperf_docker.system.paths import assets

MODULES = sorted((assets() / "mlperf_docker").rglob("*.py"))
NO_NOUN = re.compile(
    r"(What|Whatever|Where|Whoever|Which|Who|How|Being|This|That|It|One|Whether|When|Get|From|Something|Each|Every) "
    r"|The \w+ (that|which) "
)
"""Beginnings of riddles: a clause, a pronoun or an order in place of the thing's name."""


def summary(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(assets() / "mlperf_docker")))
def test_a_modules_docstring_begins_with_a_noun(path: Path) -> None:
    found = summary(path)
    assert found, "no docstring"
    assert not NO_NOUN.match(found), found
    assert "→" not in found, "an arrow in place of a sentence"
