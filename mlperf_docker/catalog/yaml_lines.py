"""YAML loader that keeps the line of each value, so that an error can name it.

ruamel.yaml 0.19 has lines, too (`.lc`). But it takes 41 ms for images.yaml, where libyaml under PyYAML takes 2; it ends
at the first duplicate key, names no line for a date that cannot be, and raises RecursionError where lists are deep.
"""

import reprlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import yaml

from mlperf_docker.display import printable

# libyaml's parser is some ten times as fast; wheels of PyYAML have it, a build from source may lack it.
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path = tuple[int | str, ...]

_DEEPEST = 40
_MOST_VALUES = 100_000
_LONGEST_NUMBER = 100  # characters; also of dates and of what has a tag
_MOST_CHARACTERS = 5_000_000
_MOST_PROBLEMS = 1_000
_SHOWN = 80
_NUMBERS = ("int", "float")
"""Kinds that YAML 1.1 also writes to the base of 60, where 1:30:00 is 5400; it is text here, as in YAML 1.2."""
_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = _SHOWN


@dataclass(frozen=True, order=True)
class Problem:
    """Problem in a file, at a line (from 1)."""

    line: int
    message: str


class Problems(list[Problem]):
    """The first problems. more: how many others there are."""

    more = 0

    def note(self, line: int, message: Callable[..., str], *facts: object) -> None:
        """Add the problem that *message* says of *facts*; of very many it is only counted."""
        if len(self) < _MOST_PROBLEMS:
            self.append(Problem(line, message(*facts)))
        else:
            self.more += 1


class _TooMuchError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass
class Document:
    """A file's data, the line of every key and list item by its path, and what is wrong with the YAML itself."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)
    characters: int = 0

    def line(self, path: Path) -> int:
        """Return the line of *path*, or of the nearest value around it that the file has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(text: str) -> Document:
    """Parse *text*. Syntax errors, duplicate keys and values that cannot be become problems.

    Of errors of syntax, and of what is too deep or too much (aliases stand for what they name), the first ends it.
    """
    document = Document()
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        document.data = None if root is None else _value(document, loader, root, ())
    except _TooMuchError as error:
        document.problems.append(error.problem)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        document.problems.append(Problem(line, f"not valid YAML: {error.problem or error.context}"))
    except yaml.YAMLError as error:
        document.problems.append(Problem(1, f"not valid YAML: {' '.join(str(error).split())}"))
    except RecursionError:
        document.problems.append(Problem(1, f"nested more than {_DEEPEST} levels deep"))
    finally:
        loader.dispose()
    return document


def _value(document: Document, loader: yaml.SafeLoader, node: yaml.Node, path: Path) -> object:
    """Return the data below *node* and note its lines."""
    line = node.start_mark.line + 1
    document.lines.setdefault(path, line)
    if len(path) > _DEEPEST:
        raise _TooMuchError(Problem(line, f"nested more than {_DEEPEST} levels deep; or does an alias contain itself?"))
    if len(document.lines) > _MOST_VALUES:
        raise _TooMuchError(Problem(line, f"more than {_MOST_VALUES:,} values, counting what aliases stand for"))
    if isinstance(node, yaml.MappingNode):
        return _mapping(document, loader, node, path)
    if isinstance(node, yaml.SequenceNode):
        return [_value(document, loader, item, (*path, index)) for index, item in enumerate(node.value)]
    document.characters += len(node.value)
    if document.characters > _MOST_CHARACTERS:
        raise _TooMuchError(
            Problem(line, f"more than {_MOST_CHARACTERS:,} characters, counting what aliases stand for")
        )
    return _scalar(document, loader, node, path)


def _scalar(document: Document, loader: yaml.SafeLoader, node: yaml.Node, path: Path) -> object:
    """Return a plain value. Numbers, dates and what has a tag may be written so that there is no such value."""
    line, kind = node.start_mark.line + 1, node.tag.rpartition(":")[2]
    if kind == "str" or (kind in _NUMBERS and ":" in node.value):
        return node.value
    if len(node.value) > _LONGEST_NUMBER:
        document.problems.note(line, _of_path, path, f"a value of {len(node.value):,} characters for {kind}")
        return None
    try:
        return loader.construct_object(node)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        document.problems.note(line, _of_path, path, f"{shown(node.value)} is no {kind}")
        return None


def _mapping(document: Document, loader: yaml.SafeLoader, node: yaml.MappingNode, path: Path) -> dict[Hashable, Any]:
    """Return a mapping; of a key that comes twice the first one counts, and the second is a problem."""
    mapping: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key, line = key_node.value, key_node.start_mark.line + 1
        if not isinstance(key, str):
            document.problems.note(line, "a key must be a plain word".format)
        elif key in mapping:
            document.problems.note(line, _of_path, (*path, key), "duplicate key")
        else:
            document.lines[(*path, key)] = line
            mapping[key] = _value(document, loader, value_node, (*path, key))
    return mapping


def _of_path(path: Path, message: str) -> str:
    return f"{dotted(path)}: {message}"


def dotted(path: Path) -> str:
    """Return *path* as people write it: `models.resnet50.files[0].md5`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{printable.shortened(part, _SHOWN)}" for part in path)
    return text.removeprefix(".")


def shown(value: object) -> str:
    """Return *value* as in Python, of a long one the beginning."""
    return printable.shortened(_BRIEF.repr(value), 2 * _SHOWN)
