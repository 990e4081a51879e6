"""Removal of what this tool left on an engine and in its folder of logs, and of nothing else.

Images and containers inherit labels from the image they were made from, so the label alone does not make an object
ours: a container must be labelled as a container of ours, and an image must end with our own last step.
"""

import datetime as dt
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.display.progress import Display
from mlperf_docker.display.sizes import readable
from mlperf_docker.engine.container import OWNER_LABEL
from mlperf_docker.engine.engine import Engine, EngineRefusedError
from mlperf_docker.engine.plan import CONTAINER_LABEL
from mlperf_docker.maintenance import build_cache
from mlperf_docker.names import LABEL
from mlperf_docker.recipe.layout import LAYOUT
from mlperf_docker.recipe.reference_layer import MODULE, reference_recipe, with_reference
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.system import owner, paths

_DAY_S = 24 * 3600
_LOG = re.compile(r"[a-z-]+-\d{8}T\d{6}\.\d{3}-.+\.log")
_OUR_ENTRY_POINT = re.compile(rf"ENTRYPOINT \[.*({re.escape(LAYOUT.module)}|{re.escape(MODULE)})")
_STOPPED = ("exited", "dead")
_HASH_TAG = r"(-[0-9a-f]{12})?"


class ItemKind(StrEnum):
    """Kind of a removable object."""

    CONTAINER = "container"
    IMAGE = "image"
    VOLUME = "volume"
    NETWORK = "network"
    CACHE = "build cache"
    LOG = "log"


@dataclass(frozen=True)
class Item:
    """Object to remove."""

    kind: ItemKind
    id: str
    """What the engine or the file system knows it by."""
    name: str
    size_bytes: int = 0
    """What only this one takes."""


@dataclass(frozen=True)
class KeptItem:
    """Object with our label that stays, and why."""

    kind: ItemKind
    name: str
    reason: str


@dataclass
class Pruned:
    """Objects that were removed, or would be."""

    dry_run: bool
    removed: list[Item] = field(default_factory=list)
    kept: list[KeptItem] = field(default_factory=list)
    freed_bytes: int = 0
    """Exact if it was done; for a dry run the least that it would be."""
    foreign_cache_bytes: int = 0
    """Build cache that nothing shows to be ours."""

    def fields(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "dry_run": self.dry_run,
            "removed": [{"kind": each.kind, "id": each.id, "name": each.name} for each in self.removed],
            "kept": [{"kind": each.kind, "name": each.name, "reason": each.reason} for each in self.kept],
            "freed_bytes": self.freed_bytes,
            "foreign_cache_bytes": self.foreign_cache_bytes,
        }

    def lines(self) -> Iterator[str]:
        """The same for people; of the build cache only how much it is."""
        verb = "would remove" if self.dry_run else "removed"
        yield from (f"{verb} {each.kind} {each.name}" for each in self.removed if each.kind is not ItemKind.CACHE)
        cache = [each for each in self.removed if each.kind is ItemKind.CACHE]
        if cache:
            least = "at least " if self.dry_run else ""  # what an image has as its layers is free once that is gone
            yield f"{verb} {least}{len(cache)} records of the build cache"
        yield from (f"kept {each.kind} {each.name}: {each.reason}" for each in self.kept)
        if self.foreign_cache_bytes:
            yield (
                f"kept {readable(self.foreign_cache_bytes)} of build cache that nothing shows to be ours;"
                " all of it goes with: docker builder prune --all"
            )
        yield f"{'would free at least' if self.dry_run else 'freed'} {readable(self.freed_bytes)}"


IsCurrent = Callable[[Mapping[str, str]], bool]
"""Whether an image, given by its labels, is what today's sources give."""


def current_in(catalog: Catalog) -> IsCurrent:
    """Return the test whether an image is what *catalog* and the sources give today, on the image's own base."""
    locked = (reference_recipe(spec) for spec in with_reference(catalog))
    recipes = {str(each): each for each in (*map(recipe_of, catalog.specs), *locked)}

    def is_current(labels: Mapping[str, str]) -> bool:
        recipe, base = recipes.get(labels.get(f"{LABEL}.cell", "")), labels.get(f"{LABEL}.base.identity", "")
        return recipe is not None and labels.get(f"{LABEL}.hash") == recipe.content(base)

    return is_current


def prune(client: Engine, *, dry_run: bool, keep_latest: IsCurrent | None, display: Display) -> Pruned:
    """Remove what is ours and not in use. keep_latest: if given, one image of each cell stays, a current one if it can.

    Whatever the engine refuses to give up stays, and is in `kept` with its reason. Equal engines give equal answers,
    whatever the order in which they list what they have.
    """
    done = Pruned(dry_run)
    before = client.disk_usage()
    remove = _Remover(client, done)
    display.phase("containers")
    gone = remove.all(sorted(_containers(client, done), key=_by_name))
    display.phase("images")
    remove.all(_images(client, done, keep_latest, gone))
    display.phase("volumes and networks")
    remove.all(sorted(_volumes(client), key=_by_name))
    remove.all(sorted(_networks(client, done), key=_by_name))
    display.phase("build cache")
    after = before if dry_run else client.disk_usage()
    cache = build_cache.records(after)
    doomed = build_cache.removable(cache)
    remove.all(
        sorted((Item(ItemKind.CACHE, each.id, each.description, each.size_bytes) for each in doomed), key=_by_name)
    )
    mine = {each.id for each in build_cache.ours(cache)}
    done.foreign_cache_bytes = sum(each.size_bytes for each in cache if each.id not in mine and not each.shared)
    logs = list(_logs(paths.log_place()))
    remove.all(logs)
    kinds = list(ItemKind)
    done.kept.sort(key=lambda each: (kinds.index(each.kind), each.name, each.reason))
    if dry_run:
        done.freed_bytes = sum(each.size_bytes for each in done.removed)
    else:
        logged = sum(each.size_bytes for each in logs)
        done.freed_bytes = max(used_bytes(before) - used_bytes(client.disk_usage()), 0) + logged
    return done


def _by_name(item: Item) -> tuple[str, str]:
    return item.name, item.id


class _Remover:
    """Removes items, or only notes them."""

    def __init__(self, client: Engine, done: Pruned) -> None:
        self._client, self._done = client, done
        self._calls: dict[ItemKind, Callable[[str], object]] = {
            ItemKind.CONTAINER: client.remove_container,
            # Parents are images of their own: one that is not ours must not go with the last that stands on it.
            ItemKind.IMAGE: lambda name: client.remove_image(name, parents=False),
            ItemKind.VOLUME: client.remove_volume,
            ItemKind.NETWORK: client.remove_network,
            ItemKind.LOG: lambda name: Path(name).unlink(missing_ok=True),
        }

    def all(self, items: Iterable[Item]) -> set[str]:
        """Remove *items* and return the ids of those that are gone."""
        chosen = list(items)
        gone = set(self._cache(chosen) if chosen and chosen[0].kind is ItemKind.CACHE else self._each(chosen))
        self._done.removed += [each for each in chosen if each.id in gone]
        return gone

    def _each(self, items: list[Item]) -> Iterator[str]:
        for item in items:
            try:
                if not self._done.dry_run:
                    self._calls[item.kind](item.id)
                yield item.id
            except EngineRefusedError as error:  # it came into use a moment ago
                self._done.kept.append(KeptItem(item.kind, item.name, error.reason))
            except OSError as error:
                self._done.kept.append(KeptItem(item.kind, item.name, str(error.strerror)))

    def _cache(self, items: list[Item]) -> Iterator[str]:
        if self._done.dry_run:
            return (item.id for item in items)
        cache = build_cache.records(self._client.disk_usage())
        wanted = {item.id for item in items}
        build_cache.remove(self._client, [each for each in cache if each.id in wanted])
        left = {each.id for each in build_cache.records(self._client.disk_usage())}
        return (each for each in wanted if each not in left)


def used_bytes(usage: dict[str, Any]) -> int:
    """Return the bytes that images, containers and build cache take together; what is shared counts once."""
    cache = sum(each.size_bytes for each in build_cache.records(usage) if not each.shared)
    containers = sum(each.get("SizeRw", 0) for each in usage.get("Containers") or ())
    volumes = sum(max(each["UsageData"]["Size"], 0) for each in usage.get("Volumes") or ())
    return int(usage["LayersSize"] + cache + containers + volumes)


def _containers(client: Engine, done: Pruned) -> Iterator[Item]:
    """Yield the containers of ours that have ended, and those that a tool which is gone never started."""
    for each in client.containers(label=CONTAINER_LABEL, sizes=True):
        name = each["Names"][0].lstrip("/") if each["Names"] else each["Id"][:12]
        abandoned = owner.is_gone(each["Labels"].get(OWNER_LABEL, "")) or time.time() - each["Created"] > _DAY_S
        if each["State"] in _STOPPED or (each["State"] == "created" and abandoned):
            yield Item(ItemKind.CONTAINER, each["Id"], name, each.get("SizeRw") or 0)
        else:
            done.kept.append(
                KeptItem(ItemKind.CONTAINER, name, "it is running" if each["State"] != "created" else "a run starts")
            )


@dataclass(frozen=True)
class _Image:
    """An image that has our label."""

    id: str
    labels: Mapping[str, str]
    created: str
    tags: tuple[str, ...]
    """All of its names."""
    ours: tuple[str, ...]
    """The names that this tool gave it."""
    size_bytes: int

    @property
    def name(self) -> str:
        return self.ours[0] if self.ours else self.id[:19]

    @property
    def cell(self) -> str:
        return self.labels.get(f"{LABEL}.cell", "")


def _images(client: Engine, done: Pruned, keep_latest: IsCurrent | None, gone: set[str]) -> Iterator[Item]:
    """Yield our images by each of our names, or by id where they have none. gone: containers that are no more."""
    used = {each["ImageID"] for each in client.containers() if each["Id"] not in gone}
    # By name, and bases after what may stand on them.
    found = sorted(_labelled(client, done), key=lambda image: (not image.cell, image.name, image.id))
    latest = _latest(found, keep_latest) if keep_latest else {}
    for image in found:
        foreign = [tag for tag in image.tags if tag not in image.ours]
        if image.id in used:
            done.kept.append(KeptItem(ItemKind.IMAGE, image.name, "a container uses it"))
        elif image.id in latest:
            done.kept.append(KeptItem(ItemKind.IMAGE, image.name, latest[image.id]))
        elif image.tags and not image.ours:
            done.kept.append(KeptItem(ItemKind.IMAGE, image.tags[0], "this tool did not give it its name"))
        else:
            if foreign:
                done.kept.append(KeptItem(ItemKind.IMAGE, foreign[0], "this tool did not give it this name"))
            names = image.ours or (image.id,)
            last = 0 if foreign else image.size_bytes
            yield from (Item(ItemKind.IMAGE, each, each, last if each == names[-1] else 0) for each in names)


def _labelled(client: Engine, done: Pruned) -> Iterator[_Image]:
    """Yield the images that are ours; of those that only have the label from an image below them, say so."""
    alone = {each["Id"]: each["Size"] - max(each["SharedSize"], 0) for each in client.disk_usage().get("Images") or ()}
    for each in client.images(LABEL):
        description = client.find_image(each["Id"])
        if description is None:
            continue
        labels, tags = dict(description["Config"]["Labels"] or {}), tuple(sorted(description["RepoTags"] or ()))
        history = client.history(each["Id"])
        if not is_made_by_us(labels, history):
            name = tags[0] if tags else each["Id"][:19]
            done.kept.append(KeptItem(ItemKind.IMAGE, name, "made by somebody from an image of ours"))
            continue
        ours = tuple(tag for tag in tags if is_our_name(tag, labels))
        yield _Image(each["Id"], labels, description["Created"], tags, ours, alone.get(each["Id"], 0))


def is_made_by_us(labels: Mapping[str, str], history: list[dict[str, Any]]) -> bool:
    """Tell whether an image with our label ends with our own last step: an import for a base, else the entry point.

    BuildKit writes the labels of a build into no step of their own; other builders do, at the end.
    """
    if labels.get(LABEL) == "base":
        return len(history) == 1
    steps = [each["CreatedBy"] for each in history if f"LABEL {LABEL}" not in each["CreatedBy"].replace('"', "")]
    return bool(steps) and _OUR_ENTRY_POINT.search(steps[0]) is not None


def is_our_name(tag: str, labels: Mapping[str, str]) -> bool:
    """Tell whether a build or a bootstrap of this tool would give an image with *labels* this name, in any registry."""
    if labels.get(LABEL) == "base":
        return tag.startswith("mlperf-docker/base:")
    cell = labels.get(f"{LABEL}.cell", "")
    return bool(cell) and re.search(rf"/{re.escape(cell)}{_HASH_TAG}$", tag) is not None


def _latest(found: list[_Image], is_current: IsCurrent) -> dict[str, str]:
    """Return id → reason of the images to keep: of each cell the current one or else the newest, and their bases."""
    kept: dict[str, str] = {}
    for cell in {image.cell for image in found if image.cell}:
        of_cell = sorted((image for image in found if image.cell == cell), key=lambda each: (each.created, each.id))
        current = [image for image in of_cell if is_current(image.labels)]
        best = (current or of_cell)[-1]
        kept[best.id] = f"today's image of {cell}" if current else f"the newest image of {cell}"
        kept[best.labels.get(f"{LABEL}.base.identity", "")] = f"the base of {best.name}"
    return kept


def _volumes(client: Engine) -> Iterator[Item]:
    return (Item(ItemKind.VOLUME, each["Name"], each["Name"]) for each in client.volumes(LABEL))


def _networks(client: Engine, done: Pruned) -> Iterator[Item]:
    for each in client.networks(LABEL):
        if each["Containers"]:
            done.kept.append(KeptItem(ItemKind.NETWORK, each["Name"], "a container uses it"))
        else:
            yield Item(ItemKind.NETWORK, each["Id"], each["Name"])


def _logs(folder: Path) -> Iterator[Item]:
    """Yield the logs of builds and runs that nothing was written to for a day."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        status = path.lstat()
        old = dt.datetime.now(dt.UTC).timestamp() - status.st_mtime > _DAY_S
        if stat.S_ISREG(status.st_mode) and _LOG.fullmatch(path.name) and old:
            yield Item(ItemKind.LOG, str(path), str(path), status.st_size)
