"""Data files of unknown content: opened only if they are regular, read up to a bound, and parsed strictly.

A data set's folder may hold anything: a FIFO would block, an endless device would fill memory, and JSON can say values
that no sample has. All of this is an error that names the file and the entry, never a hang or a crash.
"""

import json
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from mlperf_docker.harness.api.errors import BadSample, DatasetError, first_ten

T = TypeVar("T")

MIB = 1 << 20
MOST = 64 * MIB
"""Bytes of a list or an annotation file; the largest official one, OpenImages', has 40 MB."""
MOST_CONTAINERS, MOST_VALUES = 2_000_000, 8_000_000
"""Of a JSON file: an empty object or list takes two bytes there and 64 in memory, a short text 5 and 60."""
ENOUGH = 1000
"""Values that cannot be, after which nobody needs to see more."""
LONGEST_NAME, LONGEST_PATH = 255, 4000
"""Bytes, as file systems have it."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_ODD_VALUE = re.compile(r"NaN|Infinity|\\u[dD][89a-fA-F]|(?<![.\d])\d{19}|\d[eE]\+?\d\d")
"""Where none of this stands in a JSON text, no value can be odd: most files need no second look."""
_LARGEST = 2**63 - 1

SHOWN = 60
"""Characters of a value that a message shows."""

Place = tuple[str | int, ...]


class MissingFile(DatasetError):  # noqa: N818 (named like the finding that it is)
    """There is no file of that name."""


class MissingSample(BadSample):
    """There is no file of that name."""


class _Repeated(dict[str, Any]):
    """A JSON object with a key that stands in it twice."""

    key = ""


def status(path: Path) -> os.stat_result:
    """Size and time of a regular file, or of one that a link leads to. Raises BadSample for anything else."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingSample("missing") from None
    except (OSError, ValueError) as error:
        raise BadSample(_reason(error)) from error
    _check_kind(found)
    return found


def opened(path: Path) -> BufferedReader:
    """A regular file, opened for reading; its kind is looked at first. Raises BadSample for anything else."""
    status(path)
    try:
        # What is renamed to this path in between may be a FIFO, which would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise BadSample(_reason(error)) from error
    stream = os.fdopen(descriptor, "rb")
    try:
        _check_kind(os.fstat(descriptor))
    except BadSample:
        stream.close()
        raise
    return stream


def _check_kind(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise BadSample(f"{_KINDS.get(stat.S_IFMT(found.st_mode), 'something else')}, not a regular file")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def content(path: Path, *, most: int = MOST) -> bytes:
    """All of a regular file. Raises BadSample for another kind or for more than *most* bytes."""
    with opened(path) as stream:
        try:
            # Room for as much as is asked for is taken at once. Some file systems' files say that they are empty.
            size = os.fstat(stream.fileno()).st_size or most
            data = stream.read(min(size, most) + 1)
        except OSError as error:
            raise BadSample(_reason(error)) from error
    if len(data) > most:
        raise BadSample(f"too large: more than {most / 1e6:.0f} MB")
    return data


def decoded(data: bytes) -> str:
    """UTF-8 as text, without the byte order mark that some editors begin it with. Raises BadSample."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSample(f"not UTF-8: {error.reason} at byte {error.start}") from error


def read_bytes(path: Path, *, most: int = MOST, hint: str | None = None) -> bytes:
    """What `content` gives. Raises MissingFile, or DatasetError."""
    with _named(path, hint):
        return content(path, most=most)


def read_text(path: Path, *, most: int = MOST, hint: str | None = None) -> str:
    """The text of a UTF-8 file. Raises MissingFile, or DatasetError."""
    with _named(path, hint):
        return decoded(content(path, most=most))


@contextmanager
def _named(path: Path, hint: str | None) -> Iterator[None]:
    """Turn findings into errors of the file *path*."""
    try:
        yield
    except MissingSample as problem:
        raise MissingFile(f"{path} is missing", hint=hint) from problem
    except BadSample as problem:
        failed = isinstance(problem.__cause__, OSError)
        raise DatasetError(
            f"cannot read {path}: {problem}" if failed else f"{path} is {problem}", hint=hint
        ) from problem


@contextmanager
def reading(root: Path) -> Iterator[None]:
    """Turn what the file system refuses while the data set in *root* is opened into DatasetError."""
    try:
        yield
    except OSError as error:
        hint = f"It is read as user {os.geteuid()}, group {os.getegid()}. Let these read it, and enter its folders."
        known = hint if isinstance(error, PermissionError) else None
        raise DatasetError(f"cannot read {error.filename or root}: {_reason(error)}", hint=known) from error


def read_json(path: Path, *, most: int = MOST, hint: str | None = None, words: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 (JSON)
    """What a JSON file says. Raises MissingFile, or DatasetError; see `parse`."""
    data = read_bytes(path, most=most, hint=hint)
    try:
        text = decoded(data)
    except BadSample as problem:
        raise DatasetError(f"{path} is no JSON: it is {problem}", hint=hint) from problem
    return parse(path, text, hint=hint, words=words)


def parse(path: Path, text: str, *, hint: str | None = None, words: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401
    """What the JSON *text* of *path* says: finite numbers of 64 bits, text without half characters, no key twice.

    words: what to call an entry of a list, by the list's key ({"images": "image"}). Raises DatasetError, naming up to
    ten entries that cannot be.
    """
    odd = _ODD_VALUE.search(text) is not None
    repeated: list[str] = []
    if text.count("[") + text.count("{") > MOST_CONTAINERS:
        raise DatasetError(f"{path} has more than {MOST_CONTAINERS} objects and lists", hint=hint)
    if text.count(",") > MOST_VALUES:
        raise DatasetError(f"{path} has more than {MOST_VALUES} values", hint=hint)

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        seen: set[str] = set()
        twice = _Repeated(made)
        twice.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        repeated.append(twice.key)
        return twice

    if not text.strip():
        raise DatasetError(f"{path} is no JSON: it is empty", hint=hint)
    try:
        value = json.loads(text, object_pairs_hook=mapping, parse_int=_integer if odd else None)
    except RecursionError:
        raise DatasetError(f"{path} is no JSON: its lists and objects are nested too deep", hint=hint) from None
    except ValueError as error:
        raise DatasetError(f"{path} is no JSON: {error}", hint=hint) from error
    wrong = islice(_odd_values(value), ENOUGH) if odd or repeated else ()
    found = [f"{named(place, words)}: {problem}" for place, problem in wrong]
    if found:
        count = f"{len(found)} {'value' if len(found) == 1 else 'values'}{' at least' * (len(found) == ENOUGH)}"
        raise DatasetError(f"{path} has {count} that cannot be right", hint=hint, details=first_ten(found))
    return value


def _integer(text: str) -> int | float:
    """The number, or infinity for one that has far more digits than 64 bits hold."""
    return int(text) if len(text) <= 20 else math.inf


def _odd_values(value: Any) -> Iterator[tuple[Place, str]]:  # noqa: ANN401 (JSON)
    """Places of what cannot be, in the file's order, and why."""
    left: list[tuple[Place, Iterator[tuple[str | int, Any]]]] = [((), iter((("", value),)))]
    while left:
        place, entries = left[-1]
        step = next(entries, None)
        if step is None:
            left.pop()
            continue
        own: Place = (*place, step[0]) if len(left) > 1 else ()
        problem = _odd_value(step[1])
        if problem:
            yield own, problem
        if isinstance(step[1], dict):
            left.append((own, iter(step[1].items())))
        elif isinstance(step[1], list):
            left.append((own, iter(enumerate(step[1]))))


def _odd_value(value: object) -> str | None:
    if isinstance(value, str):
        return None if _whole_text(value) else "half a character (a lone surrogate)"
    if isinstance(value, float):
        return None if math.isfinite(value) else "no finite number of up to 64 bits"
    if isinstance(value, int):
        return None if abs(value) <= _LARGEST else "no number of up to 64 bits"
    if isinstance(value, _Repeated):
        return f"the key {shown(value.key)} stands there twice"
    if isinstance(value, dict) and not all(map(_whole_text, value)):
        return "a key with half a character (a lone surrogate)"
    return None


def _whole_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def named(place: Place, words: Mapping[str, str] | None = None) -> str:
    """A place in a JSON value for people: `data[0].title`; by *words* `image 0.id`, and `entry 0` of a list alone."""
    text, words = "", words or {}
    for at, part in enumerate(place):
        if isinstance(part, str):
            key = part if part.isprintable() else shown(part)
            follows = at + 1 < len(place) and isinstance(place[at + 1], int)
            text += ("." if text else "") + (words.get(part, part) if follows else key)
        elif at == 0:
            text += f"entry {part}"
        else:
            text += f" {part}" if place[at - 1] in words else f"[{part}]"
    return text or "the whole"


def shown(value: object) -> str:
    """A value of a data file for a message: on one line, short, and without anything that a terminal obeys."""
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    if isinstance(value, list):
        single = len(value) == 1 and not isinstance(value[0], dict | list)
        return f"[{shown(value[0])}]" if single else f"a list of {len(value)}"
    if isinstance(value, str):
        short = value[:SHOWN]
        return (repr if short.isprintable() else ascii)(short) + ("…" if len(value) > SHOWN else "")
    return repr(value)[:SHOWN]


def name_problem(name: object) -> str | None:
    """Why *name*, which a data file gives, cannot be that of a file below the data set's folder."""
    if not isinstance(name, str) or not name:
        return f"{shown(name)} is no name of a file"
    if not _whole_text(name) or "\0" in name:
        return f"{shown(name)} has a character that no file's name has"
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        return f"{shown(name)} leads out of the folder"
    if len(name.encode()) > LONGEST_PATH or any(len(part.encode()) > LONGEST_NAME for part in parts):
        return f"{shown(name)} is longer than a file's name can be"
    return None


def twice(keys: Iterable[T]) -> Iterator[tuple[int, T]]:
    """Position and value of each of *keys* that was there before."""
    seen: set[T] = set()
    for position, key in enumerate(keys):
        if key in seen:
            yield position, key
        seen.add(key)
