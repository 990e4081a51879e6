"""Writing of a system description, for a person to complete."""

import json
from collections.abc import Mapping
from pathlib import Path

from mlperf_docker.errors import UsageError
from mlperf_docker.system import atomic
from mlperf_docker.systems.description import NAME, NAME_RULE, is_name
from mlperf_docker.systems.keys import KEYS, SystemKey

_HEAD = """\
# Description of a system for MLPerf Inference, of which systems/{name}.json is made.
# Values that stand here were read from the host. Lines with "fill in" wait for you; N/A: there is no such thing.
# Then hold it to a round: mlperf-docker system check {file}
"""


def text(name: str, values: Mapping[str, str], file: str) -> str:
    """Return the file: all keys in upstream's order, each with what belongs there."""
    lines = (_line(key, values.get(key.name, "")) for key in KEYS)
    return "\n".join((_HEAD.format(name=name, file=file), f"{NAME}: {json.dumps(name)}", *lines)) + "\n"


def _line(key: SystemKey, value: str) -> str:
    about = f"{' | '.join(key.words)} ({key.about})" if key.words else key.about
    asked = "" if value or key.may_stay_empty else "fill in: "
    return f"{key.name}: {json.dumps(value, ensure_ascii=False)}  # {asked}{about}"


def write(path: Path, name: str, values: Mapping[str, str], *, force: bool) -> None:
    """Write a description to *path*. Raises UsageError where one is there already, unless forced."""
    if not is_name(name):
        raise UsageError(f"{name!r} cannot name a system.", hint=NAME_RULE)
    if not force and path.is_file():
        raise UsageError(f"{path} is there already.", hint="Name another file with --to FILE, or replace it: --force")
    if path.is_dir():
        raise UsageError(f"{path} is a folder.", hint="Name a file in it with --to FILE.")
    atomic.write_text(path, text(name, values, path.name))
