"""Description of a system: a small YAML file that a person completes, and the systems/<name>.json made of it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from mlperf_docker.errors import UsageError
from mlperf_docker.system import small_file
from mlperf_docker.systems.keys import KEYS

NAME = "name"
"""The key with the name of systems/<name>.json, which also names the folder of its results."""
_LARGEST_BYTES = 200_000
_Loader: type[yaml.BaseLoader] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
NAME_RULE = "Use letters, digits and . _ - only, beginning with a letter or a digit."
_HINT = "Write a new one: mlperf-docker system init --to FILE"


@dataclass(frozen=True)
class Software:
    """Software of a system's runs, as the results have it."""

    framework: str
    stack: str
    """For other_software_stack."""


@dataclass(frozen=True)
class System:
    """System as its file describes it. Values are the text of the file: `0` and `"0"` are the same."""

    name: str
    values: Mapping[str, str]
    path: Path

    def json(self, division: str, submitter: str, software: Software | None = None) -> dict[str, str]:
        """Return the content of systems/<name>.json: all keys, in upstream's order, then others that the file has.

        division, submitter: as the folders of the tree. software: for what the file leaves empty.
        """
        made = {key.name: "" for key in KEYS} | dict(self.values) | {"division": division, "submitter": submitter}
        if software is not None:
            made["framework"] = made["framework"] or software.framework
            made["other_software_stack"] = made["other_software_stack"] or software.stack
        return made


def load(path: Path) -> System:
    """Read the description in *path*. Raises UsageError with everything that is wrong with its form."""
    text = _text(path)
    try:
        root = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError) as error:
        reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
        line = mark.line + 1 if (mark := getattr(error, "problem_mark", None)) else 1
        raise UsageError(f"{path} line {line}: not valid YAML: {reason}.") from error
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{path} has no keys of a system description.", hint=_HINT)
    if problems := list(_problems(root)):
        raise UsageError("\n  ".join((f"{path} is no system description:", *problems)), hint=_HINT)
    values = {key.value: value.value.strip() for key, value in root.value}
    name = values.pop(NAME, "") or path.stem
    if not is_name(name):
        raise UsageError(f"{path} has the {NAME} {name!r}, which no folder of results may have.", hint=NAME_RULE)
    return System(name, values, path)


def is_name(text: str) -> bool:
    """Tell whether *text* can name a folder of a tree, such as that of a system's results."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text) is not None


def _text(path: Path) -> str:
    try:
        return small_file.read(path, _LARGEST_BYTES).decode()
    except FileNotFoundError as error:
        raise UsageError(f"There is no system description at {path}.", hint=_HINT) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no system description: it is not UTF-8 text.", hint=_HINT) from error
    except (small_file.UnfitError, OSError) as error:
        reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else error
        raise UsageError(f"The system description {path} cannot be read: {reason}.", hint=_HINT) from error


def _problems(root: yaml.MappingNode) -> Iterator[str]:
    """Yield what is no `key: text`, each with its line."""
    lines: dict[str, int] = {}
    for key, value in root.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            yield f"line {line}: a key is a list or a mapping"
            continue
        if not isinstance(value, yaml.ScalarNode):
            yield f"line {line}: {key.value} has a list or a mapping in place of text"
        if key.value in lines:
            yield f"line {line}: {key.value} stands in line {lines[key.value]} already"
        lines.setdefault(key.value, line)
