"""Writing of a tree: all of it aside, then renamed, so that it is there as a whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mlperf_docker.errors import UsageError
from mlperf_docker.submission.files import AccuracyLog, Files
from mlperf_docker.system import exclusive, folders, paths

OPTION = "--to DIR"
_FORCE = "replace it with --force"


def full_logs(target: Path) -> Path:
    """The folder beside the tree *target* with the whole of each accuracy log that the tree has shortened."""
    return target.with_name(f"{target.name}-full-logs")


def place(target: Path, *, force: bool) -> Path:
    """Return the absolute path of a tree that can be written. Raises UsageError.

    force: whether a tree that is there is replaced; what is no tree stays in any case.
    """
    found = paths.resolved(target.parent) / target.name
    folders.require_writable(found.parent, f"with {OPTION}")
    for each in (found, full_logs(found)):
        _check(each, force=force)
    return found


def _check(folder: Path, *, force: bool) -> None:
    if not os.path.lexists(folder) or _is_empty(folder):
        return
    if not force:
        raise UsageError(f"{folder} is there already.", hint=f"Name another folder with {OPTION}, or {_FORCE}.")
    if folder.is_symlink() or not folder.is_dir() or not _is_tree(folder):
        raise UsageError(
            f"{folder} is no submission's tree, so --force does not replace it.", hint=f"Name another with {OPTION}."
        )


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def _is_tree(folder: Path) -> bool:
    """Whether there is nothing in *folder* but divisions, and documents beside them."""
    divisions = {"closed", "open", "network"}
    return all(each.name in divisions if each.is_dir() else each.suffix == ".md" for each in folder.iterdir())


def write(files: Files, target: Path) -> None:
    """Write the tree *files* to *target*, and the accuracy logs that it shortens beside it. Replaces what is there."""
    cut = {path: content for path, content in files.items() if isinstance(content, AccuracyLog) and content.is_cut}
    with exclusive.folder(target.parent), _aside(target) as tree, _aside(full_logs(target)) as logs:
        for path, content in files.items():
            content.write(_made(tree, path))
        for path, log in cut.items():
            _keep(log.source, _made(logs, path))
        _replace(logs, full_logs(target), keep=bool(cut))
        _replace(tree, target, keep=True)


@contextlib.contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside *target*, which is gone afterwards unless it was renamed."""
    folder = target.with_name(f".{target.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)  # of one that was killed: the folder around is held
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _made(root: Path, path: PurePosixPath) -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _keep(log: Path, target: Path) -> None:
    """Give *log* a second name, or copy it where the file system of *target* is another one."""
    try:
        target.hardlink_to(log)
    except OSError:
        shutil.copyfile(log, target)


def _replace(made: Path, target: Path, *, keep: bool) -> None:
    """Put *made* in the place of *target*, or nothing there."""
    if os.path.lexists(target):
        shutil.rmtree(target)
    if keep:
        made.rename(target)
