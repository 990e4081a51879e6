"""Model code: a second folder of the user's, with modules that a reference imports and its checkout does not have."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.catalog.reference import ModelCodeEntry
from mlperf_docker.errors import UsageError
from mlperf_docker.system import checked_out, folders, paths

OPTION = "--model-code"
_SHOWN = 12


@dataclass(frozen=True)
class ModelCode:
    """Folder with a reference's model code."""

    folder: Path
    commit: str | None
    """None where it is no repository, or a folder of one."""
    changed: bool | None
    """Whether its modules are others than the commit's; None where git does not tell."""


def open_model_code(given: Path | None, entry: ModelCodeEntry | None, say: Callable[[str], None]) -> ModelCode | None:
    """Return the folder *given*, else the one that the entry's variable names, and say what is doubtful about it.

    None for a reference without such code. Raises UsageError where a folder or modules are missing, or it is needless.
    """
    if entry is None:
        if given is not None:
            raise UsageError(f"This reference imports no code from elsewhere: leave out {OPTION}.")
        return None
    folder = _folder(given, entry)
    commit = checked_out.commit(folder)
    found = ModelCode(folder, commit, checked_out.changed(folder, entry.files) if commit else None)
    for line in _doubts(found, entry):
        say(f"Warning: {line}")
    return found


def _folder(given: Path | None, entry: ModelCodeEntry) -> Path:
    clone = f"git clone {entry.url}"
    named = given or _of_environment(entry)
    if named is None:
        raise UsageError(
            f"No folder with {entry.title} is named, which the reference imports and its checkout lacks.",
            hint=f"Name the folder with {OPTION} DIR, or with {entry.variable}. To get it: {clone}",
        )
    folder = paths.resolved(named)
    folders.require(folder, "model code", missing=f"Get it: {clone} {folder}", other="Name its folder.")
    missing = [name for name in entry.files if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            f"{folder} does not have {entry.title}: {', '.join(missing)} is not in it.",
            hint=f"Name the folder that has these files. To get it: {clone}",
        )
    return folder


def _of_environment(entry: ModelCodeEntry) -> Path | None:
    named = os.environ.get(entry.variable)
    return paths.of_user(named) if named else None


def _doubts(code: ModelCode, entry: ModelCodeEntry) -> Iterator[str]:
    if code.commit is None:
        tried = f"whether it is {entry.commit[:_SHOWN]}, which was tried, is not known"
        yield f"git tells no commit of {code.folder}: {tried}."
    elif code.commit != entry.commit:
        yield f"{code.folder} has commit {code.commit[:_SHOWN]}; {entry.commit[:_SHOWN]} was tried."
    if code.changed:
        yield f"{code.folder} has local changes: git -C {code.folder} status"
