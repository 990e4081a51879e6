"""BuildKit's cache: the records that are certainly ours, and their removal.

Records carry no labels. A record is recognised by the command that made it, and by its parent.
Source: Docker Engine API, `GET /system/df` and `POST /build/prune`.
"""

from dataclasses import dataclass
from typing import Any

from mlperf_docker.engine.engine import Engine
from mlperf_docker.recipe.layout import LAYOUT


@dataclass(frozen=True)
class CacheRecord:
    """A record of BuildKit's cache."""

    id: str
    parents: tuple[str, ...]
    """The ids of the records that it stands on."""
    description: str
    size_bytes: int
    in_use: bool
    shared: bool
    """Whether an image has it as a layer, so that it takes no space of its own."""

    @property
    def is_our_step(self) -> bool:
        """Whether the step that made it can only be one of ours."""
        return any(words in self.description for words in LAYOUT.step_marks)


def records(usage: dict[str, Any]) -> list[CacheRecord]:
    """Return the cache out of the engine's answer to `GET /system/df`. Since API 1.42 it names several parents."""
    return [
        CacheRecord(
            id=each["ID"],
            parents=tuple(each.get("Parents") or filter(None, [each.get("Parent")])),
            description=each["Description"],
            size_bytes=each["Size"],
            in_use=each["InUse"],
            shared=each["Shared"],
        )
        for each in usage.get("BuildCache") or ()
    ]


def ours(cache: list[CacheRecord]) -> list[CacheRecord]:
    """Return the records of our steps and of what stands on them."""
    found = {each.id for each in cache if each.is_our_step}
    while more := {each.id for each in cache if each.id not in found and not found.isdisjoint(each.parents)}:
        found |= more
    return [each for each in cache if each.id in found]


def removable(cache: list[CacheRecord]) -> list[CacheRecord]:
    """Return those of our records that can go: nothing uses them, and nothing that stays stands on them."""
    wanted = {each.id: each for each in ours(cache) if not each.in_use and not each.shared}
    while True:
        held = {parent for each in cache if each.id not in wanted for parent in each.parents} & wanted.keys()
        if not held:
            return list(wanted.values())
        for each in held:
            del wanted[each]


def remove(client: Engine, doomed: list[CacheRecord]) -> None:
    """Remove *doomed*, those that nothing stands on first: the engine refuses the others, without a word."""
    left = {each.id: each for each in doomed}
    while left:
        free = left.keys() - {parent for each in left.values() for parent in each.parents}
        if not free:
            return
        for record in free:
            client.remove_build_cache(record)
            del left[record]
