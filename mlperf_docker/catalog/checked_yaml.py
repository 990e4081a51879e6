"""YAML files of the tool and of its users as values: read, and everything that is wrong with them told by its line."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ValidationError

from mlperf_docker.catalog import yaml_lines
from mlperf_docker.catalog.yaml_lines import Document, Problem, Problems, dotted, shown
from mlperf_docker.display import printable
from mlperf_docker.errors import UsageError
from mlperf_docker.system import small_file

Entry = TypeVar("Entry", bound=BaseModel)

LONGEST_MESSAGE = 500
_LARGEST_BYTES = 1_000_000
_PROBLEMS_SHOWN = 50

# What a pattern means, for people; found by its beginning.
_SHAPES = {
    r"^3\.": 'not a version of Python: write for example "3.11"',
    r"^sha256:": "not a digest: write sha256: and 64 hexadecimal digits",
    r"^[0-9a-f]{32}": "not an MD5 checksum: write 32 hexadecimal digits",
    r"^[0-9a-f]{64}": "not a SHA-256 checksum: write 64 hexadecimal digits",
    r"^https?:": "not an address: write http:// or https://, a host and a path",
    r"^[A-Za-z0-9_]+(/": "not a folder of a library: write for example numpy/**/tests",
    r"^[A-Za-z0-9{]": "not a path below the data set's folder: write names with / between them, none of them hidden",
    r"^v[0-9]": "not a round: write for example v6.1",
    r"^((==|>=": "not a range of versions: write for example >=6.0.5,<=6.0.15",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[": "not a requirement with its versions: write for example numpy>=2.2,<2.5",
}


class FileProblemsError(UsageError):
    """A YAML file has problems; all of them, in the order of their lines."""

    called: ClassVar[str] = "file"
    """What the file is called."""

    def __init__(self, path: Path, problems: Problems) -> None:
        self.path, self.problems = path, sorted(set(problems))
        shown = self.problems[:_PROBLEMS_SHOWN]
        lines = "\n".join(f"  {path}:{problem.line}: {problem.message}" for problem in shown)
        total = len(self.problems) + problems.more
        if total > len(shown):
            lines += f"\n  and {total - len(shown):,} more"
        count = f"{total:,} problem{'s' if total > 1 else ''}"
        super().__init__(f"The {self.called} has {count}:\n{lines}", hint="Correct the lines above and try again.")


def read(path: Path, problems: type[FileProblemsError]) -> Document:
    """Read *path*. Raises UsageError where it cannot be read, and *problems* where it is no UTF-8."""
    try:
        return yaml_lines.read(small_file.read(path, _LARGEST_BYTES).decode())
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise problems(path, Problems([Problem(line, "not UTF-8")])) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"The {problems.called} {path} cannot be read: {reason}.") from error
    except small_file.UnfitError as error:
        raise UsageError(f"The {problems.called} {path} cannot be read: {error}.") from error


def mapping_of(document: Document, keys: Iterable[str]) -> dict[str, Any] | None:
    """Return the data of *document*, or None, with a problem, where they are no mapping with such *keys*."""
    if isinstance(document.data, dict):
        return document.data
    if not document.problems:
        document.problems.append(Problem(1, f"the file must be a mapping with the keys {', '.join(keys)}"))
    return None


def validate(
    document: Document,
    kind: type[Entry],
    raw: object,
    prefix: yaml_lines.Path,
    problems: Problems,
    *,
    place: Callable[[yaml_lines.Path], yaml_lines.Path] = tuple,
) -> Entry | None:
    """Return *raw*, which stands at *prefix*, as a *kind*, or None, with everything that is wrong at its lines.

    place: where the file has what is at a path, if that is elsewhere, as of what an entry inherits.
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            path = place(prefix + tuple(part for part in each["loc"] if part != "[key]"))
            problems.note(document.line(path), _explained, path, each)
        return None


def _explained(path: yaml_lines.Path, error: Mapping[str, Any]) -> str:
    return f"{dotted(path) or 'the file'}: {_explain(error)}"


def _explain(error: Mapping[str, Any]) -> str:
    """Return pydantic's error in the words of this file."""
    match error["type"]:
        case "missing":
            return "missing key"
        case "extra_forbidden":
            return "unknown key"
        case "string_pattern_mismatch":
            pattern = error["ctx"]["pattern"]
            shape = next((text for start, text in _SHAPES.items() if pattern.startswith(start)), "not a valid name")
            return f"{shape} (found {shown(error['input'])})"
        case "model_type" | "dict_type":
            return f"must be a mapping (found {shown(error['input'])})"
        case "value_error":  # of a validator of ours, which says what is wrong and where
            return printable.shortened(str(error["ctx"]["error"]), LONGEST_MESSAGE)
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]} (found {shown(error['input'])})"
