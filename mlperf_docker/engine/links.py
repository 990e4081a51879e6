"""Symbolic links in the user's folders, and the mounts that make them resolve inside a container.

A folder with links that lead out of it is mounted under its own path and not under the container's usual one, so that
absolute and relative links resolve to the same names inside as outside. A model file is mounted under the name that the
user gave, link or not.
"""
# Names are texts here: a data set may have 50,000 links, for which Path would take seconds.
# ruff: noqa: PTH114, PTH115, PTH116, PTH117, PTH118, PTH119, PTH120

import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlperf_docker.contract import places
from mlperf_docker.engine.plan import BindMount
from mlperf_docker.errors import DatasetError
from mlperf_docker.system import paths

MOST_MOUNTS = 64
_FEW = 8
"""Files of one folder that are mounted singly, so that their neighbours stay outside."""
_MOST_NEIGHBOURS = 64
_OWN = (
    "/bin", places.CACHE, "/dev", "/etc", "/lib", "/lib64", places.MODELS, places.HOME, "/opt/venv", "/proc",
    places.RESULTS, places.PERFORMANCE_RUN, places.ACCURACY_RUN,
    "/sbin", "/sys", "/usr/bin", "/usr/lib", "/usr/local/bin", "/usr/local/lib", "/usr/sbin",
)  # fmt: skip
"""What a container has of its own and what is nobody's data: nothing is mounted over it, above it or within."""
_SYSTEM = ("/boot", "/dev", "/etc", "/proc", "/run/secrets", "/sys")
"""Where no part of a model is."""
_NEVER_WHOLE = ("/", "/tmp", "/home", "/root")  # noqa: S108  # folders of much else, of which single files are mounted


@dataclass(frozen=True)
class Seen:
    """A host folder or file as a container sees it."""

    path: str
    """What the container calls it."""
    mounts: tuple[BindMount, ...]
    """What it needs for that."""
    notes: tuple[str, ...] = ()
    """What its links lack."""


def folder(path: Path, place: str) -> Seen:
    """Return how a container sees the data in *path*: at *place*, or at the same path if links lead out of it.

    Raises DatasetError where the links lead to more places than can be mounted.
    """
    root = str(paths.resolved(path))
    led = _Led(root)
    led.walk(root, root)
    led.settle()
    if not led.out:
        return Seen(place, (BindMount(Path(root), place, read_only=True),), tuple(led.notes()))
    if _is_reserved(root) or root in _NEVER_WHOLE:
        raise DatasetError(
            f"{len(led.out)} links lead out of {root}, such as {led.example()}, and a container has a folder of that"
            " name of its own.",
            hint="Move the data set to another path, or put files in the place of the links.",
        )
    mounts = (BindMount(Path(host), inside, read_only=True, shown=Path(inside)) for inside, host in led.mounts())
    return Seen(root, tuple(mounts), tuple(led.notes()))


@dataclass
class _Led:
    """Places that links below *root* lead to, each by its name in the container and on the host."""

    root: str
    out: dict[str, str] = field(default_factory=dict)
    """The links that need a mount beside the root's, and their texts."""
    files: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """Single files, by folder: name inside → on the host."""
    folders: dict[str, str] = field(default_factory=dict)
    """Whole folders: name inside → on the host."""
    dangling: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    few: int = _FEW
    """The number of a folder's files up to which they are mounted singly."""
    _walked: set[str] = field(default_factory=set)
    _real: dict[str, str] = field(default_factory=dict)

    def walk(self, inside: str, host: str) -> None:
        """Follow every link in the folder that is called *inside*, and below."""
        waiting = [(inside, host)]
        while waiting:
            inside, host = waiting.pop()
            if inside in self._walked:
                continue
            self._walked.add(inside)
            for entry in _entries(host):
                name = os.path.join(inside, entry.name)
                if entry.is_symlink():
                    self._follow(name, entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append((name, entry.path))

    def settle(self) -> None:
        """Decide on what is mounted with its folder: where single files would be too many, all that can be."""
        self._follow_chains()
        if sum(1 if self._is_whole(inside) else len(files) for inside, files in self.files.items()) > MOST_MOUNTS // 2:
            self.few = 0
            self._follow_chains()

    def _follow_chains(self) -> None:
        """Follow the links among the files whose folders are mounted whole, where they are to be found as links."""
        followed: set[str] = set()
        while True:
            links = [
                (name, host)
                for inside, files in self.files.items()
                if self._is_whole(inside)
                for name, host in files.items()
                if name not in followed and os.path.islink(host)
            ]
            if not links:
                return
            for name, host in links:
                followed.add(name)
                self._follow(name, host)

    def _is_whole(self, inside: str) -> bool:
        """Tell whether the folder is mounted and not the single files in it."""
        hosts = {os.path.dirname(host) for host in self.files[inside].values()}
        return len(self.files[inside]) > self.few and len(hosts) == 1 and not _is_broad(inside, *hosts)

    def _follow(self, inside: str, host: str) -> None:
        """Note what the link leads to, unless the root's own mount has it."""
        text = os.readlink(host)
        there = os.path.normpath(os.path.join(os.path.dirname(inside), text))
        target = os.path.join(os.path.dirname(host), text)
        try:
            kind = os.stat(target).st_mode
        except OSError:
            self.dangling.append(f"{inside} → {text}")
            return
        within = _is_below(there, self.root)
        if os.path.isabs(text) or not within:
            self.out[inside] = text
        if within:
            return
        if stat.S_ISDIR(kind):
            self._take_folder(inside, there, os.path.realpath(target))
        elif stat.S_ISREG(kind):
            self._take_file(inside, there, target)
        else:
            self.refused.append(f"{inside} → {text}")

    def _take_folder(self, link: str, there: str, real: str) -> None:
        if _is_reserved(there) or _is_reserved(real) or _is_broad(real):
            self.refused.append(f"{link} → {there}")
            return
        self.folders[there] = real
        self.walk(there, real)

    def _take_file(self, link: str, there: str, target: str) -> None:
        parent, name = os.path.split(target.rstrip("/"))
        host = os.path.join(self._real.setdefault(parent, os.path.realpath(parent)), name)
        if _is_reserved(there) or _is_reserved(os.path.realpath(host) if os.path.islink(host) else host):
            self.refused.append(f"{link} → {there}")
        else:
            self.files[os.path.dirname(there)][there] = host

    def mounts(self) -> list[tuple[str, str]]:
        """Return what to mount (inside, host), folders above what is in them. Raises DatasetError for too many."""
        whole, single = {**self.folders, self.root: self.root}, dict[str, str]()
        for inside, files in self.files.items():
            if self._is_whole(inside):
                whole[inside] = os.path.dirname(next(iter(files.values())))
            else:
                single.update({name: os.path.realpath(host) for name, host in files.items()})
        whole = _without_covered(_joined(whole, MOST_MOUNTS - len(single)))
        single = {name: host for name, host in single.items() if not _covers(whole, name, host)}
        if len(whole) + len(single) > MOST_MOUNTS:
            raise DatasetError(
                f"{len(self.out)} links of {self.root} lead out of it, such as {self.example()}, to files in"
                f" {len(self.files) + len(self.folders)} folders: more than a container can be given one by one"
                f" ({MOST_MOUNTS}).",
                hint="Put the files into one folder, or copies in the place of the links.",
            )
        return sorted({**whole, **single}.items())

    def example(self) -> str:
        """Return the first link that leads out, as `ls` shows it."""
        link, text = next(iter(self.out.items()))
        return f"{link} → {text}"

    def notes(self) -> Iterator[str]:
        """Say what a container will not find."""
        for found, what in (
            (self.dangling, "to what cannot be found"),
            (self.refused, "to what a container is not given"),
        ):
            if found:
                one = "1 link leads" if len(found) == 1 else f"{len(found)} links lead"
                yield f"{one} {what}: {found[0]}{' and so on' if len(found) > 1 else ''}"


def _entries(host: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(host) as found:
            return list(found)
    except OSError:  # it is for the harness to say what it cannot read
        return []


def _is_reserved(path: str) -> bool:
    """Tell whether *path* is within the container's own folders, or above one of them."""
    return any(_is_below(path, own) or _is_below(own, path) for own in _OWN)


def _is_system(path: str) -> bool:
    return any(_is_below(path, own) for own in _SYSTEM)


def _is_broad(*folders: str) -> bool:
    """Tell whether one of *folders* holds much that is not meant: the user's home, or what is above it."""
    home = os.path.realpath(os.path.expanduser("~"))  # noqa: PTH111  # which never fails
    return any(folder in _NEVER_WHOLE or _is_below(home, folder) for folder in folders)


def _is_below(path: str, above: str) -> bool:
    return path == above or path.startswith(above if above.endswith("/") else f"{above}/")


def _joined(whole: dict[str, str], most: int) -> dict[str, str]:
    """Return *whole* with the deepest folders replaced by their parents, level by level, down to *most* if possible."""
    stuck: dict[str, str] = {}
    while len(whole) + len(stuck) > most and whole:
        deepest = max(inside.count("/") for inside in whole)
        for inside, host in [each for each in whole.items() if each[0].count("/") == deepest]:
            del whole[inside]
            parent, on_host = os.path.dirname(inside), os.path.dirname(host)
            alike = os.path.basename(inside) == os.path.basename(host)
            if alike and not _is_broad(parent, on_host) and not _is_reserved(parent):
                whole[parent] = on_host
            else:
                stuck[inside] = host
    return {**whole, **stuck}


def _without_covered(whole: dict[str, str]) -> dict[str, str]:
    return {
        inside: host
        for inside, host in whole.items()
        if not _covers({name: other for name, other in whole.items() if name != inside}, inside, host)
    }


def _covers(whole: dict[str, str], inside: str, host: str) -> bool:
    """Tell whether one of the folders *whole* has *inside* in it, and there is *host*."""
    for name, other in whole.items():
        if _is_below(inside, name) and os.path.join(other, os.path.relpath(inside, name)) == host:
            return True
    return False


def file(path: Path, place: str) -> Seen:
    """Return how a container sees the model file *path*: by its own name below *place*, as are its neighbours.

    Its folder is mounted as it is, unless it or a neighbour is a link: then each of them by itself, but for those that
    lead to the system's own files.
    """
    names = [name for name in _neighbours(path) if not _is_system(os.path.realpath(path.parent / name))]
    inside = f"{place}/{path.name}"
    if not any((path.parent / name).is_symlink() for name in (path.name, *names)):
        return Seen(inside, (BindMount(path.parent, place, read_only=True),))
    mounts = (
        BindMount(paths.resolved(path.parent / name), f"{place}/{name}", read_only=True, shown=path.parent / name)
        for name in (path.name, *names)
    )
    return Seen(inside, tuple(mounts))


def _neighbours(path: Path) -> list[str]:
    """Return what may belong to a model file of this name, beside it: files, and the variables of a SavedModel."""
    kind = path.suffix.lower()
    if kind == ".index":
        return sorted(each.name for each in path.parent.glob(f"{path.stem}.data-*") if each.is_file())
    if path.name == "saved_model.pb":
        return sorted(
            str(each.relative_to(path.parent))
            for folder in ("variables", "assets")
            for each in (path.parent / folder).rglob("*")
            if each.is_file()
        )
    if kind != ".onnx":
        return []
    beside = sorted(each.name for each in path.parent.iterdir() if each != path and each.is_file())
    own = [name for name in beside if name.startswith(path.stem)]
    return (own + [name for name in beside if name not in own])[:_MOST_NEIGHBOURS]
