"""Inheritance between entries of a file: an entry that is `like` another has what it does not say itself from there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlperf_docker.catalog.yaml_lines import Path, shown

LIKE = "like"


@dataclass(frozen=True)
class Node:
    """A value, and where the file has it. The values of a mapping are nodes; a list is taken as a whole."""

    path: Path
    value: Any

    @classmethod
    def of(cls, value: object, *path: str) -> "Node":
        """The node of *value*, which is at *path*."""
        if isinstance(value, Mapping):
            return cls(path, {key: cls.of(each, *path, key) for key, each in value.items()})
        return cls(path, value)

    @property
    def is_mapping(self) -> bool:
        """Whether its value has keys."""
        return isinstance(self.value, dict)

    def get(self, key: str) -> "Node | None":
        """The node at *key*, or None if there is none."""
        return self.value.get(key) if self.is_mapping else None

    def over(self, base: "Node") -> "Node":
        """The node, completed by what *base* has and it has not; `null` takes away what *base* has."""
        if not (self.is_mapping and base.is_mapping):
            return self
        both = {key: each.over(base.value[key]) if key in base.value else each for key, each in self.value.items()}
        return Node(self.path, {**base.value, **both})

    def without(self, key: str) -> "Node":
        """The mapping without *key*; another value as it is."""
        return (
            Node(self.path, {name: each for name, each in self.value.items() if name != key})
            if self.is_mapping
            else self
        )

    def plain(self) -> Any:  # noqa: ANN401  # as the file has it
        """The value without places, without what `null` took away."""
        if not self.is_mapping:
            return self.value
        return {key: each.plain() for key, each in self.value.items() if each.value is not None}

    def place(self, path: Path) -> Path:
        """Where the file has what is at *path* of the plain value; of what it lacks, where it would be."""
        if path and (found := self.get(str(path[0]))) is not None:
            return found.place(path[1:])
        return self.path + path


def completed(entries: Iterable[tuple[str, Node]]) -> tuple[dict[str, Node], list[tuple[Path, str]]]:
    """Complete each entry by the one above that it is like. Also tell which references lead nowhere.

    Entries that depend on such a reference are left out.
    """
    done: dict[str, Node | None] = {}
    problems: list[tuple[Path, str]] = []
    for name, entry in entries:
        like = entry.get(LIKE)
        if like is not None and like.value not in list(done):
            problems.append((like.path, f"no entry above is called {shown(like.value)}"))
        base = done.get(str(like.value)) if like is not None else Node(entry.path, {})
        done[name] = entry.without(LIKE).over(base) if base else None
    return {name: node for name, node in done.items() if node is not None}, problems
