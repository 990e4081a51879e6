"""Profile: the options that a tuning found best for a cell, a scenario and a host, in a JSON file.

Profiles of a host have a folder of their own below the user's data folder, as home folders may be shared by many hosts.
"""

import datetime as dt
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlperf_docker.catalog.selector import nearest
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.options import COUNT, RATE, RunOptions
from mlperf_docker.contract.words import Precision, Scenario
from mlperf_docker.engine.plan import Limits
from mlperf_docker.errors import UsageError
from mlperf_docker.host import processor
from mlperf_docker.host.tree import Tree
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.system import atomic, field_problems, paths, small_file, strict_json

SUFFIX = ".json"
_LARGEST_BYTES = 2_000_000
_PROBLEMS_NAMED = 5

_Count = Annotated[int, Field(ge=COUNT.least, le=COUNT.most)]
_Rate = Annotated[float, Field(ge=RATE.least, le=RATE.most)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TunedOptions(_Part):
    """Options of `run` that a profile sets where the command line does not; None for what it leaves alone."""

    batch_size: _Count | None = None
    instances: _Count | None = None
    threads_per_instance: _Count | None = None
    target_qps: _Rate | None = None
    target_latency_ms: _Count | None = None

    def given(self) -> dict[str, Any]:
        """Those that are set, by name."""
        return self.model_dump(exclude_none=True)

    def under(self, options: RunOptions) -> RunOptions:
        """Return *options* with these values for what they leave open."""
        return replace(
            options, **{name: value for name, value in self.given().items() if getattr(options, name) is None}
        )


class TunedHost(_Part):
    """Host of a tuning, as far as it decides which options are best."""

    processor: str
    """Its model."""
    processors: int
    """Logical ones that are online."""

    @property
    def key(self) -> str:
        """The name of the folder of its profiles."""
        return hashlib.sha256(f"{self.processor}\n{self.processors}".encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return f"{self.processors} processors, {self.processor}"


class CurvePoint(_Part):
    """Trial of a rate: what it was asked for, and the latency that it had."""

    target_qps: float
    achieved_qps: float | None
    """Completed samples per second."""
    p99_ns: float | None
    valid: bool
    full: bool
    """Whether it was as long as a run that counts."""


class Profile(_Part):
    """Outcome of a tuning."""

    name: str
    cell: str
    """As resnet50:onnxruntime-cpu."""
    precision: Precision
    scenario: Scenario
    options: TunedOptions
    figure: float | None = None
    """The scenario's figure in the confirming run: samples per second, or nanoseconds."""
    gain: float | None = None
    """By how many times that is better than the default options; 1 where they are the best."""
    data: str
    """What it was tuned on: real, synthetic tiny or synthetic full."""
    source: str
    """Hash of Dockerfile, locks and harness of the image that was tuned."""
    host: TunedHost
    limits: dict[str, Any] = Field(default_factory=dict)
    """Limits of the containers, as --cpus."""
    bound_ns: float | None = None
    """Server's bound on latency."""
    curve: tuple[CurvePoint, ...] = ()
    """Server's trials, by rate."""
    trials: int
    """Number of runs that it was found with."""
    trials_sha256: str
    """Digest of them all."""
    trials_dir: str
    """Where they are kept."""
    date: dt.datetime
    """UTC."""

    @property
    def digest(self) -> str:
        """Return what tells it from any other: the beginning of a SHA-256 over its content."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:12]

    def reference(self) -> dict[str, Any]:
        """Name, digest and options, as a result says what it ran with."""
        return {"name": self.name, "digest": self.digest, "options": self.options.given()}

    def applied(self, spec: ImageSpec, options: RunOptions, limits: Limits, say: Callable[[str], None]) -> RunOptions:
        """Return *options* with the profile's values for what they leave open.

        Another cell, precision or scenario is refused: the values would mean something else. Another host, image, data
        or limits only make it likely that others are better, so this is said. Raises UsageError.
        """
        other = list(self._other(spec, options))
        if other:
            hint = f"Tune this one: mlperf-docker tune {spec.words} --scenario {options.scenario}"
            raise UsageError(f"The profile {self.name} is {', and '.join(other)}.", hint=hint)
        for warning in self._doubts(spec, options, limits):
            say(f"Warning: the profile {self.name} {warning}; others may be better here.")
        return self.options.under(options)

    def _other(self, spec: ImageSpec, options: RunOptions) -> Iterator[str]:
        pairs = ((self.cell, str(spec)), (self.precision, options.precision), (self.scenario, options.scenario))
        yield from (f"for {own}, not {asked}" for own, asked in pairs if own != asked)

    def _doubts(self, spec: ImageSpec, options: RunOptions, limits: Limits) -> Iterator[str]:
        if self.host != (here := this_host()):
            yield f"was tuned on another host ({self.host}, not {here})"
        if self.source != recipe_of(spec).source:
            yield "was tuned with another image of this cell"
        if self.data != (data := data_of(options)):
            yield f"was tuned on {self.data} data, not {data}"
        if self.limits != limits_given(limits):
            yield f"was tuned with {_told(self.limits)}, not {_told(limits_given(limits))}"


def data_of(options: RunOptions) -> str:
    """What a run of *options* runs on, in a profile's words."""
    return f"synthetic {options.synthetic}" if options.synthetic else "real"


def limits_given(limits: Limits) -> dict[str, Any]:
    """The limits that are set, by name."""
    return {name: value for name, value in vars(limits).items() if value is not None}


def _told(limits: dict[str, Any]) -> str:
    return " ".join(f"--{name} {value}" for name, value in limits.items()) or "no limits"


def this_host() -> TunedHost:
    """Facts of this host that decide which options are best."""
    found = processor.read(Tree())
    return TunedHost(processor=found.model or os.uname().machine, processors=found.threads or os.cpu_count() or 1)


def default_name(spec: ImageSpec, precision: Precision, scenario: Scenario) -> str:
    """The name of a profile that was given none."""
    return f"{spec.model.name}-{spec.variant}-{precision}-{scenario}"


def place(host: TunedHost | None = None) -> Path:
    """The folder of a host's profiles, by default this host's; it need not exist."""
    return paths.profiles_place() / (host or this_host()).key


def names() -> list[str]:
    """The profiles of this host."""
    return sorted(path.stem for path in place().glob(f"*{SUFFIX}") if not path.name.startswith("."))


def find(text: str) -> Profile:
    """Return the profile that *text* names: a file, or one of this host. Raises UsageError."""
    if "/" in text or text.endswith(SUFFIX):
        return read(paths.of_user(text))
    known = names()
    if text in known:
        return read(place() / f"{text}{SUFFIX}")
    near = nearest(text, known)
    guess = f" Did you mean {near}?" if near else ""
    there = f" There are: {', '.join(known)}." if known else " There is none yet."
    elsewhere = sorted(paths.profiles_place().glob(f"*/{text}{SUFFIX}"))
    hint = f"One of another host has that name: --profile {elsewhere[0]}" if elsewhere else None
    raise UsageError(
        f"This host has no profile {text!r}.{guess}{there}",
        hint=hint or "Make one: mlperf-docker tune MODEL --scenario …",
    )


def read(path: Path) -> Profile:
    """Read the profile in *path*. Raises UsageError where there is none, or it is damaged."""
    try:
        return Profile.model_validate_json(small_file.read(path, _LARGEST_BYTES))
    except ValidationError as error:
        told = "; ".join(field_problems.told(error, whole="all")[:_PROBLEMS_NAMED])
        raise UsageError(
            f"{path} is not a profile of this version: {told}.", hint="Make one: mlperf-docker tune"
        ) from error
    except FileNotFoundError as error:
        raise UsageError(f"There is no profile {path}.", hint="Make one: mlperf-docker tune MODEL --to FILE") from error
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else error
        raise UsageError(f"The profile {path} cannot be read: {reason}.") from error


def write(profile: Profile, path: Path) -> None:
    """Write *profile*, so that a reader never sees half of it."""
    atomic.write_text(path, strict_json.dumps(profile.model_dump(mode="json")) + "\n")
