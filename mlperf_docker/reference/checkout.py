"""Checkout of mlcommons/inference: whether a folder is one, which commit it has, and whether a benchmark is in it."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlperf_docker.catalog.reference import ReferenceSpec
from mlperf_docker.errors import UsageError
from mlperf_docker.reference.model_code import ModelCode, open_model_code
from mlperf_docker.reference_contract.reference import ReferenceImplementation
from mlperf_docker.system import checked_out, folders, paths

VARIABLE = "MLPERF_INFERENCE"
"""Variable that names the folder where no option does."""
URL = "https://github.com/mlcommons/inference"
_MARKER = Path("loadgen", "loadgen.h")
_BEFORE_LOADGEN_H = Path("loadgen", "mlperf.conf")
_SHOWN = 12
_CONTENT_SHOWN = len("sha256:") + _SHOWN
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
    content: str | None = None
    """`sha256:…` over the benchmark's files, where the commit does not tell them all."""
    code: ModelCode | None = None
    """Second folder, with code that the checkout lacks; None where all is in it."""

    def __str__(self) -> str:
        """For people: the commit, and what the commit does not tell."""
        known = f"commit {self.commit[:_SHOWN]}" if self.commit else "no known commit"
        return known if self.content is None else f"{known} with other files than its ({self.content[:_CONTENT_SHOWN]})"


class CheckoutError(UsageError):
    """There is no checkout that has the benchmark."""


def open_checkout(
    given: Path | None, reference: ReferenceSpec, backend: str, say: Callable[[str], None], code: Path | None = None
) -> ReferenceCheckout:
    """Return the checkout in the folder *given*, and say what is doubtful about it.

    code: the folder of its model code, else the environment names it. Raises CheckoutError where the checkout is none,
    or lacks the benchmark's scripts; UsageError where model code is missing.
    """
    folder = _folder(given)
    _check_scripts(folder, reference, backend)
    described = reference.described(backend)
    found = _as_it_is(folder, described)
    for line in _doubts(found, described.commit):
        say(f"Warning: {line}")
    return replace(found, code=open_model_code(code, reference.model_code, say))


def require_unchanged(checkout: ReferenceCheckout, reference: ReferenceSpec, backend: str) -> None:
    """Raise UsageError where *checkout* is not as it was when it was opened: a run would be told of the wrong code."""
    now = replace(_as_it_is(checkout.folder, reference.described(backend)), code=checkout.code)
    if now != checkout:
        raise UsageError(
            f"The checkout {checkout.folder} was changed meanwhile: it has {now} now, and had {checkout}.",
            hint="Run the same command again.",
        )
    if checkout.code and open_model_code(checkout.code.folder, reference.model_code, lambda _: None) != checkout.code:
        raise UsageError(
            f"The model code in {checkout.code.folder} was changed meanwhile.", hint="Run the same command again."
        )


def of_environment() -> Path | None:
    """The folder that the variable names; None without it."""
    named = os.environ.get(VARIABLE)
    return paths.of_user(named) if named else None


def _as_it_is(folder: Path, described: ReferenceImplementation) -> ReferenceCheckout:
    parts, commit = _parts(described), checked_out.commit(folder)
    changed = checked_out.changed(folder, parts) if commit else None
    return ReferenceCheckout(folder, commit, changed, None if changed is False else _content(folder, parts, commit))


def _content(folder: Path, parts: Sequence[str], commit: str | None) -> str:
    """The digest of the files below *parts*: those that git knows, or all where it knows none."""
    known = checked_out.files(folder, parts) if commit else None
    found = hashlib.sha256()
    for name in _all_files(folder, parts) if known is None else known:
        path = folder / name
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"
        found.update(f"{len(name)} {name} {digest}".encode(errors="surrogateescape"))
    return f"sha256:{found.hexdigest()}"


def _all_files(folder: Path, parts: Iterable[str]) -> list[str]:
    """What Python's own caches hold is of no matter."""
    found = {path for part in parts for path in (folder / part).rglob("*") if path.is_file()}
    return sorted(str(path.relative_to(folder)) for path in found if "__pycache__" not in path.parts)


def _folder(given: Path | None) -> Path:
    clone = f"git clone {URL}"
    if given is None:
        raise CheckoutError(
            "No checkout of mlcommons/inference is named.",
            hint=f"Name its folder: --reference DIR, `reference: DIR` in campaign.yaml, or {VARIABLE}. To get one:"
            f" {clone}",
        )
    folder = paths.resolved(given)
    folders.require(folder, "checkout", missing=f"Get it: {clone} {folder}", other="Name its folder.")
    if not _is_checkout(folder):
        around = next(filter(_is_checkout, folder.parents), None)
        raise CheckoutError(
            f"{folder} is no checkout of mlcommons/inference: {_MARKER} is not in it.",
            hint=f"It is a folder in one: name {around}" if around else f"Name one. To get it: {clone} DIR",
        )
    return folder


def _is_checkout(folder: Path) -> bool:
    return any((folder / each).is_file() for each in (_MARKER, _BEFORE_LOADGEN_H))


def _check_scripts(folder: Path, reference: ReferenceSpec, backend: str) -> None:
    described = reference.described(backend)
    wanted = (f"{described.folder}/{described.script}", described.scoring.script)
    missing = [each for each in wanted if not (folder / each).is_file()]
    if missing:
        revision = reference.tag_on(backend) or described.commit[:_SHOWN]
        raise CheckoutError(
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
