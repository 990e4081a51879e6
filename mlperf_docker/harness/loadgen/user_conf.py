"""Checks of the user's own user.conf: LoadGen skips lines that it does not understand, so each is checked here."""

import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.errors import BadSample, UsageError, first_ten
from mlperf_docker.harness.system import data_files

MOST_BYTES = 64 << 10
ANY = "*"
EXAMPLE = "Each line is `model.scenario.key = value`, with blanks around =; the # of a comment stands by itself."

MODELS = frozenset(
    {"3d-unet", "bert", "deepseek-r1", "deepseek-r1-interactive", "dlrm", "dlrm-v2", "dlrm-v3", "gpt-oss-120b"}
    | {"gpt-oss-120b-interactive", "gptj", "llama2-70b", "llama2-70b-interactive", "llama3_1-405b"}
    | {"llama3_1-405b-interactive", "llama3_1-8b", "llama3_1-8b-edge", "llama3_1-8b-interactive", "mixtral-8x7b"}
    | {"pointpainting", "qwen3-vl-235b-a22b", "resnet50", "retinanet", "rgat", "rnnt", "ssd-mobilenet"}
    | {"stable-diffusion-xl", "wan-2.2-t2v-a14b", "whisper", "yolo"}
)
"""Names in LoadGen's own mlperf.conf; others, like bert-99, would set nothing."""

SINGLE, MULTI, SERVER, OFFLINE = Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM, Scenario.SERVER, Scenario.OFFLINE
STREAMS = frozenset({SINGLE, MULTI})
LATEST = 1 << 40
"""Of whole numbers: milliseconds become nanoseconds in 64 bits."""

Reader = Callable[[str], float]


def whole(text: str) -> float:
    """A number without a fraction; LoadGen would read 2.5 as 2, and 1e3 as 1. Raises ValueError."""
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(LATEST)) or int(text) > LATEST:
        raise ValueError(f"a whole number up to {LATEST}")
    return int(text)


def at_least_one(text: str) -> float:
    """The same, but not 0. Raises ValueError."""
    if (value := whole(text)) < 1:
        raise ValueError("at least 1")
    return value


def positive(text: str) -> float:
    """A number above 0. Raises ValueError."""
    return _number(text, 1e12, "a number above 0, up to 1e12")


def percent(text: str) -> float:
    """A percentile. Raises ValueError."""
    return _number(text, 100, "a percentage above 0, up to 100")


def flag(text: str) -> float:
    """0 or 1. Raises ValueError."""
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return int(text)


def _number(text: str, most: float, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= most or not text.isascii() or "_" in text:
        raise ValueError(expected)
    return value


@dataclass(frozen=True, slots=True)
class Key:
    """Values of a key, and the scenarios in which LoadGen reads it."""

    read: Reader
    scenarios: frozenset[Scenario] = frozenset(Scenario)
    closed: bool = False
    """True if the closed division leaves the key to the user."""


KEYS: Mapping[str, Key] = {
    "target_qps": Key(positive, frozenset({OFFLINE, SERVER}), closed=True),
    "target_latency": Key(positive, frozenset({SINGLE, MULTI, SERVER})),
    "target_latency_percentile": Key(percent, frozenset({SINGLE, MULTI, SERVER})),
    "min_duration": Key(whole, closed=True),
    "max_duration": Key(whole),
    "min_query_count": Key(whole),
    "max_query_count": Key(whole),
    "performance_sample_count_override": Key(whole),
    "samples_per_query": Key(at_least_one, frozenset({MULTI})),
    "coalesce_queries": Key(flag, frozenset({SERVER}), closed=True),
    "max_async_queries": Key(whole, frozenset({SERVER})),
    "sample_concatenate_permutation": Key(flag),
    "print_timestamps": Key(flag, closed=True),
}
_AUDIT = "is for the audits, and would make another run of this one"
_SEED = "comes from mlperf.conf: LoadGen ignores it here"
REFUSED: Mapping[str, str] = {
    "mode": "is what --mode says",
    "accuracy_sample_count_override": "would score a part of the data set as all of it; use --samples",
    "performance_issue_unique": _AUDIT,
    "performance_issue_same": _AUDIT,
    "performance_issue_same_index": _AUDIT,
    "accuracy_log_rng_seed": _AUDIT,
    "accuracy_log_sampling_target": _AUDIT,
    "accuracy_log_probability": _AUDIT,
    "qsl_rng_seed": _SEED,
    "sample_index_rng_seed": _SEED,
    "schedule_rng_seed": _SEED,
}
OPTIONS: Mapping[str, str] = {
    "target_qps": "--target-qps",
    "min_duration": "--min-duration",
    "target_latency": "--target-latency",
}
"""Keys that an option sets too."""


@dataclass(frozen=True, slots=True)
class Line:
    """Setting of a user.conf."""

    number: int
    """Line number in the file, from 1."""
    model: str
    scenario: str
    key: str
    value: str

    @property
    def name(self) -> str:
        """What stands before the =."""
        return f"{self.model}.{self.scenario}.{self.key}"

    def sets(self, model: str, scenario: Scenario) -> bool:
        """Whether it is for this model and scenario."""
        return self.model in (ANY, model) and self.scenario in (ANY, scenario.value)

    def problem(self, model: str, scenario: Scenario) -> str | None:
        """What is wrong with it in a run of *model*, in words."""
        if self.scenario not in (ANY, *Scenario):
            return f"there is no scenario {self.scenario}{_nearest(self.scenario, [each.value for each in Scenario])}"
        if self.model not in MODELS | {ANY}:
            return f"mlperf.conf has no model {self.model}{_nearest(self.model, sorted(MODELS))}"
        return self._key_problem(scenario) if self.model in (ANY, model) else None

    def _key_problem(self, scenario: Scenario) -> str | None:
        if self.key in REFUSED:
            return f"{self.key} {REFUSED[self.key]}"
        key = KEYS.get(self.key)
        if key is None:
            return f"there is no key {self.key}{_nearest(self.key, list(KEYS))}"
        where = scenario if self.scenario == ANY else Scenario(self.scenario)
        if where not in key.scenarios:
            return None if self.scenario == ANY else f"{self.key} means nothing in {where}"
        try:
            (at_least_one if self.key == "target_latency" and where is SERVER else key.read)(self.value)
        except ValueError as error:
            return f"{self.key} must be {error} in {where}, not {self.value[: data_files.SHOWN]}"
        return None


def _nearest(name: str, known: list[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


@dataclass(frozen=True, slots=True)
class UserConf:
    """A user.conf whose lines have the right form."""

    path: Path
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The settings as LoadGen reads them."""
        return "".join(f"{line.name} = {line.value}\n" for line in self.lines)

    def settings(self, model: str, scenario: Scenario) -> dict[str, str]:
        """What the file says of this run: keys and values."""
        return {line.name: line.value for line in self.lines if line.sets(model, scenario)}

    def open_only(self, model: str, scenario: Scenario) -> list[str]:
        """Keys among these that the closed division has rules for."""
        found = {line.key for line in self.lines if line.sets(model, scenario)}
        hint = {"target_latency"} if scenario in STREAMS else set()
        return sorted(key for key in found - hint if not KEYS[key].closed)

    def check(self, model: str, scenario: Scenario, given: frozenset[str] = frozenset()) -> None:
        """Raise UsageError with every line that is wrong in a run of *model*. given: keys that options set already."""
        found = [
            f"line {line.number}: {problem}"
            for line in self.lines
            for problem in (*_only(line.problem(model, scenario)), *self._clashes(line, model, scenario, given))
        ]
        if found:
            raise _wrong(self.path, found)

    def _clashes(self, line: Line, model: str, scenario: Scenario, given: frozenset[str]) -> Iterator[str]:
        first = next(other for other in self.lines if other.name == line.name)
        if first is not line:
            yield f"{line.name} is set twice, in line {first.number} too"
        if line.key in given and line.sets(model, scenario):
            yield f"{line.key} is set by {OPTIONS[line.key]} too"


def _only(problem: str | None) -> tuple[str, ...]:
    return () if problem is None else (problem,)


def read(path: Path) -> UserConf:
    """The user.conf in *path*. Raises UsageError, naming each line that LoadGen would skip or stumble over."""
    try:
        text = data_files.decoded(data_files.content(path, most=MOST_BYTES))
    except BadSample as problem:
        raise UsageError(f"cannot read {path}: {problem}", hint=EXAMPLE) from problem
    lines, wrong = [], []
    for number, each in enumerate(text.split("\n"), start=1):
        try:
            lines += list(_parsed(number, each))
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        raise _wrong(path, wrong)
    return UserConf(path, tuple(lines))


def _parsed(number: int, text: str) -> Iterator[Line]:
    words = text.split()
    glued = next((word for word in words if word.startswith("#") and word != "#"), None)
    if glued is not None:
        raise ValueError("the # of a comment must stand by itself")
    words = words[: words.index("#")] if "#" in words else words
    if not words:
        return
    shown = " ".join(words)[: data_files.SHOWN]
    if len(words) != 3 or words[1] != "=" or words[0].count(".") < 2 or not shown.isprintable():
        raise ValueError(f"{shown!r} is no setting")
    model, scenario, key = words[0].rsplit(".", 2)
    yield Line(number, model, scenario, key, words[2])


def _wrong(path: Path, found: list[str]) -> UsageError:
    return UsageError(f"{path}, {found[0]}", hint=EXAMPLE, details=first_ten(found[1:]))
