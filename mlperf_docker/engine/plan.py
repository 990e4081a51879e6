"""Plan of a container, as a value: image, mounts, limits and arguments. Pure: no disk, no engine."""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlperf_docker.display import printable, shell
from mlperf_docker.errors import UsageError
from mlperf_docker.names import LABEL

CONTAINER_LABEL = f"{LABEL}=container"

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
# As docker's own units.RAMInBytes reads sizes: 1.5g, 8GiB, 512 MB, 1e9.
_SIZE = re.compile(r"(\+?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?) ?(?:b|([kmgtp])(?:i?b)?)?", re.IGNORECASE | re.ASCII)
_MOST_BYTES = 2**63
_LEAST_MEMORY = 6 * 2**20
_LEAST_CPUS = 0.01
_ALL = -1

_LINE_END = "\r\n"


@dataclass(frozen=True)
class BindMount:
    """A host folder or file inside the container."""

    host: Path
    """Must exist: the engine refuses otherwise, it never creates one."""
    container: str
    read_only: bool
    shown: Path | None = None
    """The name that the user knows it by; None for host."""

    def __post_init__(self) -> None:
        """Raise UsageError for a name that the engine's API, which is JSON, cannot be told."""
        if printable.has_bytes(str(self.host)):
            raise UsageError(
                f"{self.host} cannot be mounted: the engine takes names in UTF-8 only.", hint="Give it another name."
            )


@dataclass(frozen=True)
class Gpus:
    """Request for GPUs, as parsed from docker's `--gpus`."""

    count: int
    """-1 for all of them, 0 where devices are named."""
    devices: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    driver: str | None = None
    options: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Devices by name or number, `all` for all of them: for runtimes that count none themselves."""
        if self.devices:
            return self.devices
        return ("all",) if self.count == _ALL else tuple(map(str, range(self.count)))

    def fields(self) -> Iterator[str]:
        """Return the fields of docker's own spelling, which is a line of CSV."""
        if self.devices:
            yield f"device={','.join(self.devices)}"
        else:
            yield "all" if self.count == _ALL else str(self.count)
        named = {"driver": self.driver, "capabilities": ",".join(self.capabilities)}
        yield from (f"{name}={value}" for name, value in named.items() if value)
        if self.options:
            yield f"options={_csv_line(f'{key}={value}' for key, value in self.options)}"


@dataclass(frozen=True)
class Limits:
    """Limits of a container, in docker's own words; None for no limit."""

    cpus: float | None = None
    """Processors, fractions allowed."""
    cpuset: str | None = None
    """Which processors: "0-3,6"."""
    memory: str | None = None
    """Size: "8g"."""
    gpus: str | None = None
    """"all", a count or "device=0,1"."""

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit in bytes, as docker reads it. Raises UsageError where it is no size, or none that may be."""
        if not self.memory:
            return None
        match = _SIZE.fullmatch(self.memory)
        size = float(match[1]) * _UNITS[(match[2] or "").lower()] if match else math.inf
        if size == 0:  # docker's own word for no limit
            return None
        if match is None or size >= _MOST_BYTES:
            hint = "Write it as docker does: 512m, 1.5g, 8GiB."
            raise UsageError(f"--memory {self.memory} is not a size.", hint=hint)
        if size < _LEAST_MEMORY:
            raise UsageError(f"--memory {self.memory} is too little: docker takes no less than 6m.")
        return int(size)

    @property
    def gpu_request(self) -> Gpus | None:
        """The GPUs that are asked for, in docker's own spellings. Raises UsageError for what docker does not take.

        Of `device=0,1` docker makes device 0 and a count of 1, which it refuses, unless it is in quotes of its own.
        """
        if not self.gpus:
            return None
        try:
            return _gpus(self.gpus)
        except (ValueError, csv.Error) as error:
            raise UsageError(
                f"--gpus {self.gpus} is no selection.", hint="Write it as docker does: all, 2, device=0,1."
            ) from error

    def check(self) -> None:
        """Raise UsageError for what docker would not understand."""
        _ = self.memory_bytes, self.gpu_request
        if self.cpus is not None and not (self.cpus == 0 or _LEAST_CPUS <= self.cpus < math.inf):
            raise UsageError(f"--cpus {self.cpus} is no number of processors, 0.01 or more.")
        if self.cpuset and not _is_cpuset(self.cpuset):
            raise UsageError(
                f"--cpuset {self.cpuset} is no list of processors.", hint="Write it as docker does: 0-3,6."
            )


def _gpus(text: str) -> Gpus:
    """Read docker's `--gpus`: fields of CSV, each a name and a value, or a count. Raises ValueError."""
    (fields,) = csv.reader([text], strict=True)
    found: dict[str, str] = {}
    for field_ in fields:
        name, is_named, value = field_.partition("=")
        if not is_named and found.keys() == {"device"}:  # the second of device=0,1
            found["device"] += f",{name}"
            continue
        name, value = (name, value) if is_named else ("count", name)
        if name in found or name not in ("count", "device", "driver", "capabilities", "options") or not value:
            raise ValueError(field_)
        found[name] = value
    if "device" in found and "count" in found:
        raise ValueError(text)
    devices = tuple(found["device"].split(",")) if "device" in found else ()
    capabilities = tuple(found["capabilities"].split(",")) if "capabilities" in found else ()
    if not all(re.fullmatch(r"[\w.:/=-]+", word, re.ASCII) for word in (*devices, *capabilities)):
        raise ValueError(text)
    count = 0 if devices else _gpu_count(found.get("count", "1"))
    options = next(csv.reader([found["options"]], strict=True)) if "options" in found else []
    pairs = tuple((key, value) for key, _, value in (option.partition("=") for option in options))
    return Gpus(count, devices, capabilities, found.get("driver"), pairs)


def _gpu_count(text: str) -> int:
    if text == "all":
        return _ALL
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise ValueError(text)
    return int(text)


@dataclass(frozen=True)
class ContainerUser:
    """The user of a container and its bounds, as the engine and its host decide."""

    user: str
    """`uid:gid`."""
    groups: tuple[int, ...] = ()
    """Its supplementary groups."""
    userns: str | None = None
    """The user namespace; None for the engine's own."""
    processes: int = 4096
    """The most processes, threads among them."""
    tmp_bytes: int = 2**30
    """The size of /tmp, which is in memory."""


@dataclass(frozen=True)
class RunPlan:
    """Plan of one container, complete."""

    image: str
    arguments: tuple[str, ...]
    mounts: tuple[BindMount, ...]
    surroundings: ContainerUser
    limits: Limits = field(default_factory=Limits)
    labels: tuple[tuple[str, str], ...] = ()
    """Beside those that every container of ours carries."""
    devices: tuple[str, ...] = ()
    """Device files of the host that it gets under the same name."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables, beside those of the image."""
    entrypoint: str | None = None
    """The program; None for the image's own, the harness."""

    @property
    def tmpfs(self) -> str:
        """The options of the file system at /tmp."""
        return f"size={self.surroundings.tmp_bytes}"


def run_argv(plan: RunPlan) -> list[str]:
    """Return the `docker run` command equal to *plan*, for --dry-run; pure, so tests compare lists."""
    host = plan.surroundings
    return [
        "docker",
        "run",
        "--rm",
        "--init",
        f"--user={host.user}",
        *(f"--group-add={group}" for group in host.groups),
        *([f"--userns={host.userns}"] if host.userns else []),
        f"--pids-limit={host.processes}",
        "--network=none",
        "--read-only",
        f"--tmpfs=/tmp:{plan.tmpfs}",  # the container's own, in memory
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--label={CONTAINER_LABEL}",
        *(f"--label={key}={value}" for key, value in plan.labels),
        *(f"--env={name}={value}" for name, value in plan.environment),
        *limit_options(plan.limits),
        *(f"--device={device}" for device in plan.devices),
        *map(mount_option, plan.mounts),
        *([f"--entrypoint={plan.entrypoint}"] if plan.entrypoint else []),
        plan.image,
        *plan.arguments,
    ]


def _is_cpuset(text: str) -> bool:
    """Tell whether *text* is a list of processors as docker takes it: numbers, and ranges that do not run backward."""
    ranges = (part.partition("-") for part in text.split(","))
    return re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text, re.ASCII) is not None and all(
        int(first) <= int(last or first) for first, _, last in ranges
    )


def run_command(plan: RunPlan) -> str:
    """The same as one line to paste into a shell."""
    return shell.join(run_argv(plan))


def limit_options(limits: Limits) -> Iterator[str]:
    """Yield docker's options for *limits*."""
    gpus = limits.gpu_request
    named = {
        "cpus": limits.cpus,
        "cpuset-cpus": limits.cpuset,
        "memory": limits.memory,
        "gpus": _csv_line(gpus.fields()) if gpus else None,
    }
    yield from (f"--{name}={value}" for name, value in named.items() if value)


def mount_option(mount: BindMount) -> str:
    r"""Return docker's option for *mount*.

    Docker reads --mount as one record of CSV, so a comma or a line end in a path needs CSV's quotes.

    Its reader takes the first half of \r\n away all the same; --volume does not.
    """
    if "\r\n" in str(mount.host):
        return f"--volume={mount.host}:{mount.container}{':ro' if mount.read_only else ''}"
    fields = ["type=bind", f"src={mount.host}", f"dst={mount.container}", *(["readonly"] if mount.read_only else [])]
    return f"--mount={_csv_line(fields)}"


def _csv_line(fields: Iterable[str]) -> str:
    """Return *fields* as docker reads them where one option has several."""
    line = io.StringIO()
    csv.writer(line, lineterminator=_LINE_END).writerow(fields)  # its characters are what gets quotes
    return line.getvalue().removesuffix(_LINE_END)
