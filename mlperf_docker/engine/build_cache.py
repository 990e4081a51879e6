"""BuildKit's cache: which of it is surely ours, and how to remove that and nothing else.

Its records carry no labels. What tells is the command that made a record, and the record that it stands on.
Source: Docker Engine API, `GET /system/df` and `POST /build/prune`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlperf_docker.engine.client import Engine

# Words of the steps that install into an image and of those that run its harness, in the Dockerfiles of any version.
_OUR_STEPS = ("PIP_CONFIG_FILE=/run/host/pip.conf /opt/venv/bin/python -m pip ", "python -m mlperf_docker.harness")


@dataclass(frozen=True)
class CacheRecord:
    """A record. parent: the id of the one it stands on, or ""; shared: an image has it as a layer, so it is free."""

    id: str
    parent: str
    description: str
    size_bytes: int
    in_use: bool
    shared: bool

    @property
    def is_our_step(self) -> bool:
        """Whether the step that made it can only be one of ours."""
        return any(words in self.description for words in _OUR_STEPS)


def records(usage: dict[str, Any]) -> list[CacheRecord]:
    """Return the cache out of the engine's answer to `GET /system/df`."""
    return [
        CacheRecord(
            each["ID"], each.get("Parent", ""), each["Description"], each["Size"], each["InUse"], each["Shared"]
        )
        for each in usage.get("BuildCache") or ()
    ]


def ours(cache: list[CacheRecord]) -> list[CacheRecord]:
    """Return the records of our steps and of what stands on them."""
    by_id = {each.id: each for each in cache}
    return [each for each in cache if any(above.is_our_step for above in _line(each, by_id))]


def removable(cache: list[CacheRecord]) -> list[CacheRecord]:
    """Return those of our records that can go: nothing uses them, and nothing that stays stands on them."""
    wanted = {each.id: each for each in ours(cache) if not each.in_use and not each.shared}
    while True:
        held = {each.parent for each in cache if each.id not in wanted} & wanted.keys()
        if not held:
            return list(wanted.values())
        for each in held:
            del wanted[each]


def remove(client: Engine, doomed: list[CacheRecord]) -> None:
    """Remove *doomed*, those that nothing stands on first: the engine refuses the others, without a word."""
    left = {each.id: each for each in doomed}
    while left:
        free = left.keys() - {each.parent for each in left.values()}
        if not free:
            return
        for record in free:
            client.prune_build_cache({"id": [record]})
            del left[record]


def _line(record: CacheRecord, by_id: dict[str, CacheRecord]) -> Iterator[CacheRecord]:
    """Yield *record* and all that it stands on."""
    at: CacheRecord | None = record
    while at is not None:
        yield at
        at = by_id.get(at.parent)
