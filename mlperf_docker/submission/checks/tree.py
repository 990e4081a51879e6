"""Tree of a submission as it lies on the disk: read once, without following links, within bounds.

Trees come from others: what is no file, links out of the tree and trees without end are told, never followed.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mlperf_docker.errors import UsageError
from mlperf_docker.system import folders, small_file

MOST_NODES = 200_000
DEEPEST = 40
_APART = (".git", ".github")
"""Folders at the root that are no part of a submission, and that nobody minds."""
LARGEST_BYTES = 50 * 2**20
"""The largest file that the checkers take."""


class TreeNodeKind(StrEnum):
    """Kind of what a name in the tree stands for."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    BROKEN_LINK = "broken link"
    OUTSIDE_LINK = "link out of the tree"
    OTHER = "other"
    CLOSED = "closed"


@dataclass(frozen=True)
class TreeNode:
    """File, folder or link of a tree. path: relative, with slashes."""

    path: str
    kind: TreeNodeKind
    size: int = 0

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def is_file(self) -> bool:
        """Whether it can be read as a file; a link to a file of the same tree can."""
        return self.kind in (TreeNodeKind.FILE, TreeNodeKind.LINK)

    @property
    def is_folder(self) -> bool:
        """Whether it has an inside that was looked at."""
        return self.kind is TreeNodeKind.FOLDER


@dataclass(frozen=True)
class SubmissionTree:
    """Names and sizes of a tree. Contents are read on demand."""

    root: Path
    nodes: dict[str, TreeNode]
    """Path → node, the root's own being ""."""
    complete: bool = True
    """Whether all of it was looked at."""
    _children: dict[str, list[TreeNode]] = field(default_factory=dict)

    @classmethod
    def scan(cls, root: Path) -> "SubmissionTree":
        """Look at all names below *root*. Raises UsageError where it is no folder that can be read."""
        hint = "Name the folder above closed/ and open/."
        folders.require(root, "submission", missing=hint, other=hint)
        found: dict[str, TreeNode] = {"": TreeNode("", TreeNodeKind.FOLDER)}
        complete = True
        for node in _walk(Path(os.path.realpath(root))):
            found[node.path] = node
            if len(found) >= MOST_NODES or node.path.count("/") >= DEEPEST:
                complete = len(found) < MOST_NODES and not node.is_folder
            if not complete:
                break
        children: dict[str, list[TreeNode]] = {}
        for node in sorted(found.values(), key=lambda node: node.path):
            if node.path:
                children.setdefault(node.path.rpartition("/")[0], []).append(node)
        return cls(root, found, complete, children)

    def within(self, folder: str) -> list[TreeNode]:
        """Return what is in *folder*, sorted; nothing where there is none."""
        return self._children.get(folder, [])

    def folders_in(self, folder: str) -> list[str]:
        """Return the names of the folders in *folder*."""
        return [node.name for node in self.within(folder) if node.is_folder]

    def files_in(self, folder: str) -> list[str]:
        """Return the names of the files in *folder*."""
        return [node.name for node in self.within(folder) if node.is_file]

    def below(self, folder: str) -> Iterator[TreeNode]:
        """Yield all nodes below *folder*."""
        for node in self.within(folder):
            yield node
            yield from self.below(node.path)

    def has_file(self, path: str) -> bool:
        """Tell whether *path* is a file."""
        node = self.nodes.get(path)
        return node is not None and node.is_file

    def has_folder(self, path: str) -> bool:
        """Tell whether *path* is a folder."""
        node = self.nodes.get(path)
        return node is not None and node.is_folder

    def read(self, path: str, largest_bytes: int = LARGEST_BYTES) -> bytes:
        """Return what is in the file *path*. Raises UnfitError and OSError."""
        return small_file.read(self.root / path, largest_bytes)


def _walk(root: Path) -> Iterator[TreeNode]:
    """Yield what is below *root*, folders before their contents, without entering a link."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if not folder and entry.name in _APART:
                        continue
                    node = _node(root, folder, entry)
                    if node.is_folder:
                        waiting.append(node.path)
                    yield node
        except OSError as error:
            if not folder:
                raise UsageError(f"The submission {root} cannot be read: {error.strerror}.") from error
            yield TreeNode(folder, TreeNodeKind.CLOSED)


def _node(root: Path, folder: str, entry: "os.DirEntry[str]") -> TreeNode:
    path = f"{folder}/{entry.name}" if folder else entry.name
    try:
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            return _link(root, path)
    except OSError:
        return TreeNode(path, TreeNodeKind.CLOSED)
    if stat.S_ISDIR(status.st_mode):
        return TreeNode(path, TreeNodeKind.FOLDER)
    return TreeNode(path, TreeNodeKind.FILE if stat.S_ISREG(status.st_mode) else TreeNodeKind.OTHER, status.st_size)


def _link(root: Path, path: str) -> TreeNode:
    target = os.path.realpath(root / path)
    try:
        status = os.stat(target)  # noqa: PTH116  # of the text that realpath gives
    except OSError:
        return TreeNode(path, TreeNodeKind.BROKEN_LINK)
    inside = Path(target).is_relative_to(root)
    if not inside or not stat.S_ISREG(status.st_mode):
        return TreeNode(path, TreeNodeKind.OUTSIDE_LINK)
    return TreeNode(path, TreeNodeKind.LINK, status.st_size)
