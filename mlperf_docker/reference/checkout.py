"""Checkout of mlcommons/inference: whether a folder is one, which commit it has, and whether a benchmark is in it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.catalog.reference import ReferenceSpec
from mlperf_docker.errors import UsageError
from mlperf_docker.reference_contract.reference import ReferenceImplementation
from mlperf_docker.system import checked_out, folders, paths

VARIABLE = "MLPERF_INFERENCE"
"""Variable that names the folder where no option does."""
URL = "https://github.com/mlcommons/inference"
_MARKER = Path("loadgen", "loadgen.h")
_BEFORE_LOADGEN_H = Path("loadgen", "mlperf.conf")
_SHOWN = 12
_DEPTH = 2
"""Folders down to that of a benchmark, as in vision/classification_and_detection."""


@dataclass(frozen=True)
class ReferenceCheckout:
    """Folder with the reference implementations."""

    folder: Path
    commit: str | None
    """None where it is no repository, as one that was downloaded as an archive."""
    changed: bool | None
    """Whether files of the benchmark are others than the commit's; None where git does not tell."""


def open_checkout(
    given: Path | None, reference: ReferenceSpec, backend: str, say: Callable[[str], None]
) -> ReferenceCheckout:
    """Return the checkout in the folder *given*, and say what is doubtful about it.

    Raises UsageError where it is none, or does not have the benchmark's scripts.
    """
    folder = _folder(given)
    _check_scripts(folder, reference, backend)
    described = reference.described(backend)
    commit = checked_out.commit(folder)
    found = ReferenceCheckout(folder, commit, checked_out.changed(folder, _parts(described)) if commit else None)
    for line in _doubts(found, described.commit):
        say(f"Warning: {line}")
    return found


def _folder(given: Path | None) -> Path:
    clone = f"git clone {URL}"
    if given is None:
        raise UsageError(
            "No checkout of mlcommons/inference is named.",
            hint=f"Name its folder with --reference DIR, or with {VARIABLE}. To get one: {clone}",
        )
    folder = paths.resolved(given)
    folders.require(folder, "checkout", missing=f"Get it: {clone} {folder}", other="Name its folder.")
    if not any((folder / each).is_file() for each in (_MARKER, _BEFORE_LOADGEN_H)):
        raise UsageError(
            f"{folder} is no checkout of mlcommons/inference: {_MARKER} is not in it.",
            hint=f"Name the folder that has loadgen/ in it. To get one: {clone}",
        )
    return folder


def _check_scripts(folder: Path, reference: ReferenceSpec, backend: str) -> None:
    described = reference.described(backend)
    wanted = (f"{described.folder}/{described.script}", described.scoring.script)
    missing = [each for each in wanted if not (folder / each).is_file()]
    if missing:
        revision = reference.tag_on(backend) or described.commit[:_SHOWN]
        raise UsageError(
            f"The checkout {folder} does not have the benchmark: {', '.join(missing)} is not in it.",
            hint=f"It is in {revision}: git -C {folder} worktree add ../inference-{revision} {revision}",
        )


def _doubts(checkout: ReferenceCheckout, tried: str) -> list[str]:
    folder = checkout.folder
    if checkout.commit is None:
        return [f"git tells no commit of {folder}: whether it is {tried[:_SHOWN]}, which was tried, is not known."]
    other = f"{folder} has commit {checkout.commit[:_SHOWN]}; {tried[:_SHOWN]} was tried."
    changed = f"{folder} has local changes: git -C {folder} status"
    return [*([other] if checkout.commit != tried else []), *([changed] if checkout.changed else [])]


def _parts(reference: ReferenceImplementation) -> list[str]:
    """The folders of the benchmark; whether other parts of a checkout were changed is of no matter."""
    return sorted({str(Path(*Path(each).parts[:_DEPTH])) for each in (reference.folder, reference.scoring.script)})
