"""Cache of this node: on a disk of its own, where the home folder may be one that all nodes share."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlperf_docker.errors import FolderError
from mlperf_docker.system import exclusive, node, paths

VARIABLE = "MLPERF_DOCKER_NODE_CACHE"
_LOCK = ".lock"
_ONLY_OURS = 0o700


def folder() -> Path:
    """Return the folder, made where it is missing; it is safe to delete. Raises FolderError for one of another user.

    Its last part is the node's name: nodes that share the disk after all do not meet there.
    """
    given = os.environ.get(VARIABLE, "")
    root = paths.of_user(given) if given else Path(f"/var/tmp/mlperf-docker-{os.getuid()}")  # noqa: S108  # see below
    found = paths.made(root) if given else _own(root)
    return paths.made(found / node.name())


@contextmanager
def turn(held: Callable[[], None], say: Callable[[str], None]) -> Iterator[None]:
    """Hold the node's cache against every other process of this node; waits for its turn.

    held: called first where another process has it.
    """
    place = folder()
    with exclusive.turn(place / _LOCK, held) as locked:
        if not locked:
            exclusive.tell_missing(place, "a second process that loads images", say)
        yield


def _own(root: Path) -> Path:
    """Make *root*, in a folder that all users write to, for this user only."""
    root.mkdir(mode=_ONLY_OURS, exist_ok=True)
    status = root.lstat()
    if not root.is_dir() or root.is_symlink() or status.st_uid != os.getuid():
        raise FolderError(
            f"{root} is no folder of this user's.", hint=f"Set {VARIABLE} to a folder on a disk of this node."
        )
    return root
