"""Merging of trees: those of several hosts, or of several campaigns, into one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlperf_docker.errors import UsageError
from mlperf_docker.submission.files import Files, TreeCopy
from mlperf_docker.submission.problems import SubmissionError, SubmissionProblem
from mlperf_docker.system import folders

_DIVISIONS = ("closed", "open", "network")
_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Merged:
    """Files of several trees as one tree."""

    files: Files
    submitters: tuple[str, ...]


def merge(trees: Sequence[Path]) -> Merged:
    """Return *trees* as one. Raises UsageError for what is no tree, SubmissionError with everything that clashes."""
    found = [_read(tree) for tree in trees]
    problems = [*_clashes(trees, found), *_strangers(trees, found)]
    if problems:
        raise SubmissionError("The trees make none together:", problems, hint="Nothing was written.")
    files: Files = {path: TreeCopy(source) for each in found for path, source in each.items()}
    return Merged(files, tuple(sorted({name for each in found for name in _submitters(each)})))


def _read(tree: Path) -> dict[PurePosixPath, Path]:
    """Return every file of *tree* by its path in it. Raises UsageError."""
    hint = "Name the folder above closed/ or open/."
    folders.require(tree, "tree", missing=hint, other=hint)
    if not any((tree / division).is_dir() for division in _DIVISIONS):
        raise UsageError(f"{tree} is no submission's tree: it has no closed/ and no open/.", hint=hint)
    files = (each for each in sorted(tree.rglob("*")) if not _inner(each))
    return {PurePosixPath(each.relative_to(tree).as_posix()): each for each in files}


def _inner(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _clashes(trees: Sequence[Path], found: Sequence[dict[PurePosixPath, Path]]) -> Iterator[SubmissionProblem]:
    """Yield each path that two trees fill differently, and each link, which would lead elsewhere."""
    taken: dict[PurePosixPath, tuple[Path, Path]] = {}
    for tree, files in zip(trees, found, strict=True):
        for path, source in files.items():
            if source.is_symlink() or not source.is_file():
                yield SubmissionProblem(str(source), "it is no plain file", "Put the file itself there.")
                continue
            first = taken.setdefault(path, (tree, source))
            if not _equal(first[1], source):
                yield SubmissionProblem(str(path), f"{first[0]} and {tree} have different ones", _fix(path))


def _fix(path: PurePosixPath) -> str:
    if "systems" in path.parts or "results" in path.parts:
        return "Give one of the systems another name, or leave one of the results out."
    return "Keep one of them, in both trees."


def _equal(first: Path, second: Path) -> bool:
    if first == second:
        return True
    if first.stat().st_size != second.stat().st_size:
        return False
    with first.open("rb") as one, second.open("rb") as other:
        while chunk := one.read(_CHUNK_BYTES):
            if chunk != other.read(_CHUNK_BYTES):
                return False
    return True


def _strangers(trees: Sequence[Path], found: Sequence[dict[PurePosixPath, Path]]) -> Iterator[SubmissionProblem]:
    """Yield the trees of other organisations, or in another layout, than the first one's."""
    names, sources = [_submitters(each) for each in found], [_sources(each) for each in found]
    for tree, name, source in zip(trees[1:], names[1:], sources[1:], strict=True):
        if name != names[0]:
            what = f"it is of {_listed(name)}, {trees[0]} of {_listed(names[0])}"
            fix = "A submission is of one organisation: give both campaigns the same submitter."
            yield SubmissionProblem(str(tree), what, fix)
        if source != sources[0]:
            what = f"it has {_listed(source)}/, {trees[0]} has {_listed(sources[0])}/: it is of another round"
            yield SubmissionProblem(str(tree), what, "Make both trees for the same round.")


def _submitters(files: Mapping[PurePosixPath, Path]) -> set[str]:
    return {path.parts[1] for path in files if path.parts[0] in _DIVISIONS and len(path.parts) > 2}


def _sources(files: Mapping[PurePosixPath, Path]) -> set[str]:
    """The folders of source code, which tell the layout."""
    return {path.parts[2] for path in files if len(path.parts) > 3} & {"src", "code"}


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nobody"
