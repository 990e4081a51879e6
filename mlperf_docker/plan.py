"""What a run will do, as a value: image, mounts, limits and arguments. Pure: nothing here touches disk or docker."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlperf_docker import shell
from mlperf_docker.digests import LABEL
from mlperf_docker.errors import UsageError
from mlperf_docker.names import Mode, Precision, Scenario, SyntheticSize

CONTAINER_LABEL = f"{LABEL}=container"

_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}

_LINE_END = "\r\n"

# The harness has the same bounds: LoadGen counts nanoseconds in 64 bits, frameworks some things in 32.
_MOST = (1 << 31) - 1
_RANGES = {"min-duration": (0.001, 1e9), "target-qps": (0.001, 1e12)}


@dataclass(frozen=True)
class BindMount:
    """A host folder or file inside the container. host must exist: the engine refuses otherwise, it never creates one.

    shown: the name that the user knows it by; None for host.
    """

    host: Path
    container: str
    read_only: bool
    shown: Path | None = None


@dataclass(frozen=True)
class Limits:
    """What the container may use, in docker's own words; an empty string is no limit.

    cpus: a number, fractions allowed; cpuset: "0-3,6"; memory: "8g"; gpus: "all", a count or "device=0,1".
    """

    cpus: float | None = None
    cpuset: str = ""
    memory: str = ""
    gpus: str = ""

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit in bytes. Raises UsageError where it is not a size as docker writes it."""
        if not self.memory:
            return None
        match = re.fullmatch(r"(\d+)([bkmg]?)b?", self.memory.lower())
        if match is None:
            raise UsageError(f"--memory {self.memory} is not a size.", hint="Write it as docker does: 512m, 8g.")
        return int(match[1]) * _UNITS[match[2]]

    def check(self) -> None:
        """Raise UsageError for what docker would not understand."""
        _ = self.memory_bytes
        if self.gpus and not re.fullmatch(r"all|\d+|device=[\w,.:-]+", self.gpus):
            raise UsageError(
                f"--gpus {self.gpus} is no selection.", hint="Write it as docker does: all, 2, device=0,1."
            )
        if self.cpuset and not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", self.cpuset):
            raise UsageError(
                f"--cpuset {self.cpuset} is no list of processors.", hint="Write it as docker does: 0-3,6."
            )


@dataclass(frozen=True)
class RunOptions:
    """What the user asked of the harness. min_duration_s, target_qps: None leaves the choice to the harness."""

    scenario: Scenario
    mode: Mode
    precision: Precision
    synthetic: SyntheticSize | None = None
    samples: int | None = None
    min_duration_s: float | None = None
    target_qps: float | None = None
    target_latency_ms: int | None = None
    batch_size: int | None = None
    instances: int | None = None
    threads_per_instance: int | None = None
    max_ind_range: int | None = None

    def check(self) -> None:
        """Raise UsageError for a number that LoadGen or a framework would take for another, or for none."""
        for name, value in self._numbers().items():
            low, high = _RANGES.get(name, (1, _MOST))
            if value is not None and not low <= value <= high:
                raise UsageError(f"--{name} {value} is not from {low:g} to {high:.10g}.")

    def arguments(self) -> Iterator[str]:
        """The harness's command line, without its paths."""
        yield from ("run", f"--scenario={self.scenario}", f"--mode={self.mode}", f"--precision={self.precision}")
        named = {"synthetic": self.synthetic, **self._numbers()}
        yield from (f"--{name}={value}" for name, value in named.items() if value is not None)

    def _numbers(self) -> dict[str, float | None]:
        return {
            "samples": self.samples,
            "min-duration": self.min_duration_s,
            "target-qps": self.target_qps,
            "target-latency": self.target_latency_ms,
            "batch-size": self.batch_size,
            "instances": self.instances,
            "threads-per-instance": self.threads_per_instance,
            "max-ind-range": self.max_ind_range,
        }


@dataclass(frozen=True)
class RunPlan:
    """One container, completely described. labels: beside those that every container of ours carries."""

    image: str
    arguments: tuple[str, ...]
    mounts: tuple[BindMount, ...]
    user: str
    limits: Limits = field(default_factory=Limits)
    labels: tuple[tuple[str, str], ...] = ()


def run_argv(plan: RunPlan) -> list[str]:
    """Return the `docker run` command equal to *plan*, for --dry-run; pure, so tests compare lists."""
    return [
        "docker",
        "run",
        "--rm",
        "--init",
        f"--user={plan.user}",
        "--network=none",
        "--read-only",
        "--tmpfs=/tmp",  # the container's own, in memory
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--label={CONTAINER_LABEL}",
        *(f"--label={key}={value}" for key, value in plan.labels),
        *_limit_options(plan.limits),
        *map(_mount_option, plan.mounts),
        plan.image,
        *plan.arguments,
    ]


def run_command(plan: RunPlan) -> str:
    """The same as one line to paste into a shell."""
    return shell.join(run_argv(plan))


def _limit_options(limits: Limits) -> Iterator[str]:
    named = {"cpus": limits.cpus, "cpuset-cpus": limits.cpuset, "memory": limits.memory, "gpus": limits.gpus}
    yield from (f"--{name}={value}" for name, value in named.items() if value)


def _mount_option(mount: BindMount) -> str:
    r"""Docker reads --mount as one record of CSV, so a comma or a line end in a path needs CSV's quotes.

    Its reader takes the first half of \r\n away all the same; --volume does not.
    """
    if "\r\n" in str(mount.host):
        return f"--volume={mount.host}:{mount.container}{':ro' if mount.read_only else ''}"
    fields = ["type=bind", f"src={mount.host}", f"dst={mount.container}", *(["readonly"] if mount.read_only else [])]
    line = io.StringIO()
    csv.writer(line, lineterminator=_LINE_END).writerow(fields)  # its characters are what gets quotes
    return f"--mount={line.getvalue().removesuffix(_LINE_END)}"
