"""Settings of Slurm jobs as `slurm` in campaign.yaml and `--sbatch` give them: options of sbatch, lines of shell."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlperf_docker.display import printable

SETUP = "setup"
Value = str | bool
"""Value of an option; True for one that has none, False for one of the defaults that is to be left out."""
DEFAULTS: Mapping[str, Value] = {
    "exclusive": True,
    "mem": "0",
    "requeue": True,
    "signal": "B:TERM@60",
}
"""A node for itself, with all of its memory, since two runs on a node spoil each other's figures; begun again where a
node fails, which repeats nothing; told a minute before its time is up, to stop the container."""
_EXCLUDED_BY = {"mem": ("mem-per-cpu", "mem-per-gpu"), "requeue": ("no-requeue",)}
"""Options that a default gives way to."""
_OF_ALL_MEMORY = ("exclusive", "mem")
_OURS = "the tool sets it itself"
_REFUSED = {
    **dict.fromkeys(("array", "dependency", "open-mode", "output", "parsable", "wait", "wrap"), _OURS),
    **dict.fromkeys(("error", "input"), "jobs write to their logs beside the scripts"),
    **dict.fromkeys(("help", "test-only", "usage", "version"), "it submits nothing"),
    **dict.fromkeys(("cluster", "clusters"), "set SLURM_CLUSTERS, which all of Slurm's commands read"),
}
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


@dataclass(frozen=True)
class SlurmSettings:
    """Settings of the jobs of a campaign, or of a cell's; equal ones make jobs that are alike."""

    options: tuple[tuple[str, Value], ...] = ()
    """Long options of sbatch, without the dashes."""
    setup: tuple[str, ...] = ()
    """Lines of the shell before each run, such as `module load`."""

    def over(self, other: "SlurmSettings") -> "SlurmSettings":
        """Return *other* with what is given here in place of its own."""
        return SlurmSettings(_ordered({**dict(other.options), **dict(self.options)}), self.setup or other.setup)

    def lines(self) -> Iterator[tuple[str, Value]]:
        """Yield the options that are given to sbatch, defaults first."""
        given = dict(self.options)
        defaults = {name: value for name, value in DEFAULTS.items() if not given.keys() & {*_EXCLUDED_BY.get(name, ())}}
        exclusive, memory = _OF_ALL_MEMORY
        if given.get(exclusive) is False:
            defaults.pop(memory, None)
        yield from ((name, value) for name, value in {**defaults, **given}.items() if value is not False)


def given(raw: Mapping[str, Any]) -> tuple[SlurmSettings, list[tuple[str, str]]]:
    """Return the settings that *raw* gives, and key and message of each one that cannot be."""
    options, problems = dict[str, Value](), list[tuple[str, str]]()
    setup = _lines(raw.get(SETUP))
    if setup is None:
        problems.append((SETUP, "write a list of lines for the shell"))
    for key, value in raw.items():
        if key == SETUP:
            continue
        name, plain = key.replace("_", "-"), _plain(value)
        refusal = _refusal(name, plain)
        if plain is None or refusal:
            problems.append((key, refusal or "write a text, a number, or true"))
        else:
            options[name] = plain
    return SlurmSettings(_ordered(options), setup or ()), problems


def of_words(words: Iterable[str]) -> tuple[SlurmSettings, list[tuple[str, str]]]:
    """Return the same of `NAME=VALUE`, or of `NAME` alone for an option without a value."""
    raw: dict[str, Value] = {}
    for word in words:
        name, has_value, value = word.removeprefix("--").partition("=")
        raw[name] = {"true": True, "false": False}.get(value, value) if has_value else True
    return given(raw)


def _ordered(options: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    """Return *options* so that equal ones are equal."""
    return tuple(sorted(options.items()))


def _refusal(name: str, value: Value | None) -> str | None:
    """Say why sbatch is not to be given this, or None."""
    if name in _REFUSED:
        return f"{name} cannot be given: {_REFUSED[name]}"
    if not _NAME.fullmatch(name):
        return "not a long option of sbatch: write for example partition or mem-per-cpu"
    if isinstance(value, str) and (not value or printable.one_line(value) != value):
        return "write one line of text"
    return None


def _plain(value: object) -> Value | None:
    """Return *value* as sbatch takes it, or None where it is no single value."""
    if isinstance(value, bool | str):
        return value
    return str(value) if isinstance(value, int | float) else None


def _lines(value: object) -> tuple[str, ...] | None:
    """Return the lines that *value* is, or None where it is none."""
    if value is None:
        return ()
    found = value.splitlines() if isinstance(value, str) else value
    return tuple(found) if isinstance(found, list) and all(isinstance(each, str) for each in found) else None
