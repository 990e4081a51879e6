"""`models verify`: checksums of official model files in the cache, and identification of a user's own file."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find_model
from mlperf_docker.catalog.spec import ModelSpec
from mlperf_docker.display.progress import Display
from mlperf_docker.display.sizes import readable
from mlperf_docker.errors import ModelFileError
from mlperf_docker.inputs import checksums
from mlperf_docker.inputs.models import split_files
from mlperf_docker.inputs.models.official_files import FileState, Official, existing, fetch_command, identify, officials
from mlperf_docker.system import paths

VERDICT_HEADER = ("state", "size", "checksum", "file", "path")
VERDICT_ORDER = ("state", "file", "size", "path", "checksum")
"""The same by importance."""


@dataclass(frozen=True)
class FileVerdict:
    """Verdict on a model file."""

    path: Path
    size_bytes: int
    found: dict[str, str]
    officials: tuple[Official, ...]
    """Official files that it is."""
    expected: Official | None
    """Official file that it should be; None if unknown."""
    files: dict[str, str] = field(default_factory=dict)
    """Sha256 of each part by name, for a model in several files; then `found` has that of all of them."""

    @property
    def state(self) -> FileState:
        """verified, wrong, or present: no checksum was published."""
        if self.expected is not None and self.expected.checksum is None:
            return FileState.PRESENT
        wanted = (self.expected.file,) if self.expected else tuple(each.file for each in self.officials)
        return FileState.VERIFIED if any(each.file in wanted for each in self.officials) else FileState.WRONG

    def fields(self) -> dict[str, Any]:
        """The verdict for programs."""
        keys = ("model", "name", "backend", "precision", "format", "note")
        facts = [
            dict(zip(keys, (each.model.name, *(getattr(each.file, key) for key in keys[1:])), strict=True))
            for each in self.officials
        ]
        checksum = self.expected.checksum if self.expected else None
        return {
            "path": str(self.path),
            "state": self.state,
            "size_bytes": self.size_bytes,
            **self.found,
            **({"files": self.files} if self.files else {}),
            "expected": str(checksum) if checksum else None,
            "official": facts,
        }

    def line(self) -> tuple[str, ...]:
        """The verdict for people, in the order of VERDICT_HEADER."""
        algorithm = next(iter(self.found))
        is_what = "; ".join(map(str, self.officials)) or (str(self.expected) if self.expected else "no official file")
        if self.state is FileState.WRONG and self.expected is not None:
            is_what = f"not {self.expected}"
        return (self.state, readable(self.size_bytes), f"{algorithm} {self.found[algorithm]}", is_what, str(self.path))

    def problem(self) -> str:
        """What is wrong, with what was expected and what was found."""
        found = ", ".join(f"{name} {value}" for name, value in self.found.items())
        parts = f" in {len(self.files)} files" if self.files else ""
        text = f"{self.path} ({self.size_bytes:,} bytes{parts}) has {found}"
        if self.expected is not None and self.expected.checksum is not None:
            text += f"; the official {self.expected} has {self.expected.checksum}"
        if self.officials:
            return f"{text}; it is the official {'; '.join(map(str, self.officials))}."
        return f"{text}; no official file known here has that."


@dataclass(frozen=True)
class VerifyRequest:
    """Request of `models verify`."""

    models: tuple[ModelSpec, ...]
    backend: str | None
    files: tuple[Path, ...]
    """Files of the user's own; if empty, the official ones of `models` that are here."""
    named: bool

    def raise_failure(self, verdicts: Sequence[FileVerdict]) -> None:
        """Raise ModelFileError where a file is wrong, or where nothing of a model that was named is here."""
        wrong = [each for each in verdicts if each.state is FileState.WRONG]
        if wrong:
            raise ModelFileError(
                "\n  ".join(("Wrong model file:", *(each.problem() for each in wrong))), hint=_hint(wrong)
            )
        if not verdicts and self.named:
            known = [each for model in self.models for each in officials(model, self.backend)]
            where = known[0].path.parent if known else "the cache"
            raise ModelFileError(
                f"No official file of {self.models[0].name} is in {where}: there is nothing to verify.",
                hint=f"Fetch one: {fetch_command(known[0])}" if known else None,
            )


def read_request(catalog: Catalog, names: Sequence[str], backend: str | None) -> VerifyRequest:
    """Read `[MODEL] [FILE]…`: the first word is a model unless it looks like a file. Raises UsageError."""
    words = list(names)
    named = bool(words) and not _looks_like_a_file(words[0])
    models = (find_model(catalog, words.pop(0)),) if named else catalog.models
    return VerifyRequest(models, backend, tuple(map(paths.of_user, words)), named)


def verify_all(request: VerifyRequest, display: Display) -> list[FileVerdict]:
    """Read every file that is meant, from first byte to last. Raises ModelFileError where one cannot be read."""
    if request.files:
        return [_of_user(existing(path), request, display) for path in request.files]
    here = [each for model in request.models for each in officials(model, request.backend) if each.path.is_file()]
    if not here and not request.named:
        display.say("No model files are here. Fetch one: mlperf-docker models fetch MODEL")
    return [_verdict(each.path, (each.model,), each, display) for each in here]


def _of_user(path: Path, request: VerifyRequest, display: Display) -> FileVerdict:
    """A file of the user's: if it bears an official name, that is what it should be, unless it is another one."""
    known = [each for model in request.models for each in officials(model, request.backend)]
    verdict = _verdict(path, request.models, None, display)
    fitting = tuple(each for each in verdict.officials if request.backend in (None, each.file.backend))
    expected = (
        None if fitting else next((each for each in known if path.name in (each.path.name, each.file.name)), None)
    )
    return replace(verdict, officials=fitting, expected=expected)


def _verdict(path: Path, models: Sequence[ModelSpec], expected: Official | None, display: Display) -> FileVerdict:
    display.phase(f"verify {path.name}")
    checksum = expected.checksum if expected else None
    algorithms = (checksum.algorithm,) if checksum else checksums.ALGORITHMS
    report = lambda done, total: display.progress(done, total, "bytes")  # noqa: E731
    try:
        files = split_files.files_of(path) if expected is None else (path,)
        size = sum(file.stat().st_size for file in files)
        if len(files) > 1:  # no official model is offered in parts
            sums = split_files.sums(path, report)
            return FileVerdict(path, size, {"sha256": split_files.combined(sums)}, (), None, sums)
        found = checksums.of(path, algorithms, report)
    except OSError as error:
        raise ModelFileError(f"The model file {path} cannot be read: {error.strerror}.") from error
    return FileVerdict(path, size, found, tuple(identify(models, found)), expected)


def _looks_like_a_file(word: str) -> bool:
    return "/" in word or Path(word).is_file() or bool(Path(word).suffix)


def _hint(wrong: Sequence[FileVerdict]) -> str | None:
    fetchable = next((each.expected for each in wrong if each.expected is not None), None)
    return f"Fetch the right one: {fetch_command(fetchable)}" if fetchable else "See them: mlperf-docker models list"
