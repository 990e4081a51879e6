"""YAML read together with the line that each value stands on, so that a problem can be shown where it is."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import yaml

# libyaml's parser is some ten times as fast; wheels of PyYAML have it, a build from source may lack it.
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path = tuple[int | str, ...]


@dataclass(frozen=True, order=True)
class Problem:
    """Something wrong in a file, at a line (from 1)."""

    line: int
    message: str


@dataclass
class Document:
    """A file's data, the line of every key and list item by its path, and what is wrong with the YAML itself."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Return the line of *path*, or of the nearest value around it that the file has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(text: str) -> Document:
    """Parse *text*. Syntax errors, duplicate keys and self-references become problems; the first ends it."""
    document = Document()
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        document.data = None if root is None else _value(document, loader, root, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        document.problems.append(Problem(line, f"not valid YAML: {error.problem or error.context}"))
    except yaml.YAMLError as error:
        document.problems.append(Problem(1, f"not valid YAML: {' '.join(str(error).split())}"))
    except RecursionError:
        document.problems.append(Problem(1, "not valid YAML here: an alias contains itself"))
    finally:
        loader.dispose()
    return document


def _value(document: Document, loader: yaml.SafeLoader, node: yaml.Node, path: Path) -> object:
    """Return the data below *node* and note its lines."""
    document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(document, loader, node, path)
    if isinstance(node, yaml.SequenceNode):
        return [_value(document, loader, item, (*path, index)) for index, item in enumerate(node.value)]
    return loader.construct_object(node)


def _mapping(document: Document, loader: yaml.SafeLoader, node: yaml.MappingNode, path: Path) -> dict[Hashable, Any]:
    """Return a mapping; of a key that comes twice the first one counts, and the second is a problem."""
    mapping: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key, line = key_node.value, key_node.start_mark.line + 1
        if not isinstance(key, str):
            document.problems.append(Problem(line, "a key must be a plain word"))
        elif key in mapping:
            document.problems.append(Problem(line, f"{dotted((*path, key))}: duplicate key"))
        else:
            document.lines[(*path, key)] = line
            mapping[key] = _value(document, loader, value_node, (*path, key))
    return mapping


def dotted(path: Path) -> str:
    """Return *path* as people write it: `models.resnet50.files[0].md5`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
