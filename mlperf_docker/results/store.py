"""Store of results: one folder per run, its result file, and its lock while the run lasts."""

import collections
import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mlperf_docker.display import printable
from mlperf_docker.errors import UsageError
from mlperf_docker.results.values import RunResult
from mlperf_docker.system import atomic, exclusive, field_problems, folders, node, paths, small_file

RESULT_FILE = "result.json"
LOG_FILE = "harness.log"
_LOCK_FILE = ".lock-{node}"
"""A node's, as others that share the folder have processors of their own."""
_PROBLEMS_NAMED = 3
_NAMES_SHOWN = 10
_UP_TO_SECONDS = len("20260101T000000")
_LARGEST_BYTES = 2_000_000  # some hundred times the largest that the harness writes
_DEEPEST = 32
_LONGEST_REASON = 200


def write(result: RunResult, folder: Path) -> Path:
    """Write *result* into *folder* aside and rename it, so that a reader never sees half of it."""
    path = folder / RESULT_FILE
    atomic.write_text(path, result.to_json() + "\n")
    return path


def read(folder: Path) -> RunResult:
    """Read the result in *folder*. Raises UsageError where there is none, or it is not one of ours."""
    return read_file(folder / RESULT_FILE)


def read_file(path: Path) -> RunResult:
    """Read one result file. Raises UsageError where there is none, or it is not one of ours."""
    try:
        fields = json.loads(small_file.read(path, _LARGEST_BYTES))
        if _depth(fields) > _DEEPEST:
            raise small_file.UnfitError(f"it is nested more than {_DEEPEST} levels deep")
        return RunResult.model_validate({**fields, "results_dir": str(path.parent.absolute())})
    except FileNotFoundError as error:
        raise UsageError(f"There is no result in {path.parent}.", hint="See: mlperf-docker results list") from error
    except ValidationError as error:
        raise UsageError(f"{path} is not a result of this tool: {_problems(error)}.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a result of this tool: {_first_line(error)}") from error


def _depth(value: object) -> int:
    """Return how many lists and mappings of *value* stand in each other, counted as far as it matters."""
    level, depth = [value], 0
    while depth <= _DEEPEST:
        level = [each for outer in level for each in _within(outer)]
        if not level:
            break
        depth += 1
    return depth


def _within(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _first_line(error: BaseException) -> str:
    return printable.shortened(str(error).partition("\n")[0], _LONGEST_REASON)


def _problems(error: ValidationError) -> str:
    """What is wrong, in one line: the first fields by name, and how many more there are."""
    found = field_problems.told(error)
    more = len(found) - _PROBLEMS_NAMED
    return "; ".join((*found[:_PROBLEMS_NAMED], *((f"and {more} more",) if more > 0 else ())))


@dataclass(frozen=True)
class StoredResults:
    """Results in a folder."""

    results: tuple[RunResult, ...]
    """Results, oldest first."""
    left_out: tuple[UsageError, ...] = ()
    """Reasons why other result files cannot be read."""


def read_all(root: Path) -> StoredResults:
    """Read every result below *root*; a folder whose run did not end has none, and one that is damaged is left out."""
    found, left_out = [], []
    for folder in sorted(_folders(root)):
        path = folder / RESULT_FILE
        try:
            if path.is_symlink() or path.exists():
                found.append(read(folder))
        except UsageError as error:
            left_out.append(error)
        except OSError as error:  # a folder that is closed to us
            left_out.append(UsageError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}."))
    return StoredResults(tuple(sorted(found, key=lambda result: result.age_key)), tuple(left_out))


def _folders(root: Path) -> Iterator[Path]:
    """Yield the folders in *root*, none where it does not exist; raises OSError where it cannot be read."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        yield from (path for path in root.iterdir() if path.is_dir())


def without_result(root: Path) -> list[Path]:
    """Return the folders of runs below *root* that did not come to a result, or did not yet; the oldest first."""
    return sorted(path for path in _folders(root) if paths.time_of(path.name) and not (path / RESULT_FILE).exists())


def is_held(root: Path) -> bool:
    """Tell whether a run on this node holds *root* now, as far as the kernel tells."""
    return exclusive.is_held(_lock(root))


def find(run: str, root: Path) -> RunResult:
    """Return the result that *run* names: a folder, a run's name below *root* or its beginning, or `last`.

    Raises UsageError where there is none, or the beginning of several names is given.
    """
    if run == "last":
        return require_some(read_all(root).results, root)[-1]
    folder = paths.of_user(run)
    if folder.is_dir() or (root / run).is_dir():
        return read(paths.resolved(folder) if folder.is_dir() else root / run)
    begun = [each for each in _folders(root) if each.name.startswith(run)]
    if len(begun) > 1:
        names = "\n  ".join(sorted(each.name for each in begun)[:_NAMES_SHOWN])
        raise UsageError(f"{len(begun)} runs have names that begin with {run}:\n  {names}", hint="Give more of it.")
    return read(begun[0] if begun else root / run)


def brief_names(found: Iterable[RunResult]) -> list[str]:
    """Return the names of *found*; of those that begin with a time that part, where it is enough to tell them apart."""
    names = [result.name for result in found]
    beginnings = collections.Counter(name[:_UP_TO_SECONDS] for name in names)
    return [
        name[:_UP_TO_SECONDS] if paths.time_of(name) and beginnings[name[:_UP_TO_SECONDS]] == 1 else name
        for name in names
    ]


def require_some(found: tuple[RunResult, ...], root: Path) -> tuple[RunResult, ...]:
    """Return *found*, which was read in *root*. Raises UsageError where it is nothing."""
    if not found:
        raise UsageError(
            f"There are no results in {root}.", hint="Make one: mlperf-docker run resnet50 --synthetic tiny"
        )
    return found


def check_readable(root: Path) -> Path:
    """Return *root*. Raises UsageError unless it is a folder."""
    hint = "Give the folder of a `run --results DIR`."
    folders.require(root, "results folder", missing=hint, other=hint)
    return root


@contextlib.contextmanager
def claim(root: Path, name: str, say: Callable[[str], None]) -> Iterator[Path]:
    """Hold *root* for one run and yield a new folder in it, named after the time and *name*.

    A second run in the same place would share processors with this one and spoil both figures, so it is refused. The
    kernel lets go of the claim when the process ends, however it ends. Raises UsageError where *root* is missing, not
    writable or claimed; where it cannot be claimed, that is said. A folder that stayed empty is removed.
    """
    check_writable(root)
    with _claimed(root, say):
        folder = _new_folder(root, name)
        try:
            yield folder
        finally:
            with contextlib.suppress(OSError):  # it holds something, and that stays
                folder.rmdir()


def _new_folder(root: Path, name: str) -> Path:
    """Make a folder named after the time; where the last run has that very millisecond, the next one does."""
    while True:
        folder = root / f"{paths.timestamp()}-{name}"
        try:
            folder.mkdir()
        except FileExistsError:
            time.sleep(0.001)
        else:
            return folder


def check_writable(root: Path) -> None:
    """Raise UsageError unless *root* is a folder that we can write to."""
    folders.require_writable(root, "with --results DIR", "results folder")


def _claimed(root: Path, say: Callable[[str], None]) -> contextlib.AbstractContextManager[None]:
    held = UsageError(
        f"The results folder {root} is in use by another run.",
        hint="Wait for it: two runs at once spoil each other's figures. Or give another --results DIR.",
    )
    return exclusive.alone(_lock(root), held, "a second run", say)


def _lock(root: Path) -> Path:
    return root / _LOCK_FILE.format(node=node.name())
