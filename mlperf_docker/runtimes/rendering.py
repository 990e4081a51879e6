"""Commands of runtimes without a daemon: each renders a plan as one argument list. Pure: no disk, no program is asked.

The container's variables are the image's and the plan's; those of the host stay outside.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mlperf_docker.bundle.kinds import ImageKind
from mlperf_docker.engine.plan import BindMount, RunPlan
from mlperf_docker.errors import UsageError
from mlperf_docker.names import RuntimeName
from mlperf_docker.recipe.layout import LAYOUT

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GPU_DRIVER = {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
Render = Callable[[RunPlan, Mapping[str, str]], list[str]]
"""Plan and the variables of its container → command."""

_CPUSET = frozenset({"cpuset"})
_NO_PROCESSES = "No limit of processes."
_NETWORK = "The host's network can be reached."
_PROCESSES_SEEN = "The host's processes can be seen."
_TMP = "Temporary files have the room that the site gives them."


@dataclass(frozen=True)
class CommandKind:
    """Runtime that is one command for each container."""

    name: RuntimeName
    program: str
    image: ImageKind
    """The form that it takes an image in."""
    render: Render
    unconfined: tuple[str, ...]
    """What it cannot keep a container from, a sentence each."""
    limits: frozenset[str] = frozenset()
    """Limits that it can set."""
    variables: Callable[[RunPlan], Mapping[str, str]] = lambda _: {}
    """What the command itself needs in its environment."""
    version: tuple[str, ...] = ("--version",)
    """What makes the program tell its version."""
    proof: str | None = None
    """Word of its --help without which it is another program of that name, or lacks a plug-in."""
    has_gpus: bool = True
    needs_mount_points: bool = False
    """Whether mounts need a place in the image, which has to be made beforehand."""


def image_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an image. environment: as its Dockerfile sets it."""
    return {name: value.replace("${PATH}", _SYSTEM_PATH) for name, value in environment.items()}


def apptainer(plan: RunPlan, variables: Mapping[str, str], program: str = "apptainer") -> list[str]:
    """Return `apptainer exec`; Singularity's is the same, with another program."""
    gpus, limits = plan.limits.gpu_request, plan.limits
    shown = {"CUDA_VISIBLE_DEVICES": ",".join(gpus.names)} if gpus and gpus.names != ("all",) else {}
    named = {"cpus": limits.cpus, "cpuset-cpus": limits.cpuset, "memory": limits.memory_bytes}
    return [
        program,
        "exec",
        "--containall",
        "--cleanenv",
        "--no-home",
        "--no-privs",
        "--net",
        "--network=none",
        f"--pwd={LAYOUT.working_folder}",
        *(f"--{name}={value}" for name, value in named.items() if value),
        *(["--nv"] if gpus else []),
        *(f"--env={name}={value}" for name, value in {**variables, **shown}.items()),
        *(f"--mount={_apptainer_mount(each)}" for each in plan.mounts),
        plan.image,
        *_program(plan),
    ]


def singularity(plan: RunPlan, variables: Mapping[str, str]) -> list[str]:
    """Return `singularity exec`."""
    return apptainer(plan, variables, "singularity")


def enroot(plan: RunPlan, variables: Mapping[str, str]) -> list[str]:
    """Return `enroot start`."""
    gpus = plan.limits.gpu_request
    shown = {"NVIDIA_VISIBLE_DEVICES": ",".join(gpus.names), **_GPU_DRIVER} if gpus else {}
    return [
        *_on_processors(plan),
        "enroot",
        "start",
        *(f"--env={name}={value}" for name, value in shown.items()),
        f"--mount=tmpfs:/tmp:tmpfs:x-create=dir,{plan.tmpfs}",
        *(f"--mount={_plain(each, ':')}:{each.container}:none:{_enroot_options(each)}" for each in plan.mounts),
        plan.image,
        *_clean(plan, variables),
    ]


def pyxis(plan: RunPlan, variables: Mapping[str, str]) -> list[str]:
    """Return `srun` with the options of pyxis: one task on the node of the job."""
    mounts = (f"{_plain(each, ':,')}:{each.container}:{'ro' if each.read_only else 'rw'}" for each in plan.mounts)
    return [
        "srun",
        "--ntasks=1",
        "--nodes=1",
        f"--container-image={plan.image}",
        f"--container-mounts={','.join(mounts)}",
        "--container-readonly",
        "--no-container-mount-home",
        "--no-container-remap-root",
        "--no-container-entrypoint",
        f"--container-workdir={LAYOUT.working_folder}",
        *_clean(plan, variables),
    ]


def charliecloud(plan: RunPlan, variables: Mapping[str, str]) -> list[str]:
    """Return `ch-run` in a network namespace of its own, and without a way to new privileges."""
    return [
        *_on_processors(plan),
        "unshare",
        "--user",
        "--map-current-user",
        "--net",
        "setpriv",
        "--no-new-privs",
        "ch-run",
        "--private-tmp",
        "--no-passwd",
        "--unset-env=*",
        f"--cd={LAYOUT.working_folder}",
        *(f"--bind={_plain(each, ':')}:{each.container}" for each in plan.mounts),
        plan.image,
        "--",
        *_clean(plan, variables),
    ]


def _program(plan: RunPlan) -> tuple[str, ...]:
    """Return the container's program with its arguments."""
    return (*((plan.entrypoint,) if plan.entrypoint else LAYOUT.entry_point), *plan.arguments)


def _clean(plan: RunPlan, variables: Mapping[str, str]) -> Iterator[str]:
    """Yield the program with *variables* alone, for runtimes that hand variables of the host over."""
    yield from ("/usr/bin/env", "-i", *(f"{name}={value}" for name, value in variables.items()), *_program(plan))


def _on_processors(plan: RunPlan) -> list[str]:
    return ["taskset", f"--cpu-list={plan.limits.cpuset}"] if plan.limits.cpuset else []


def _enroot_options(mount: BindMount) -> str:
    return ",".join(("x-create=auto", "bind", *(("ro",) if mount.read_only else ())))


def _apptainer_mount(mount: BindMount) -> str:
    """Return *mount* as one line of CSV."""
    line = io.StringIO()
    fields = (
        "type=bind",
        f"source={mount.host}",
        f"destination={mount.container}",
        *(("ro",) if mount.read_only else ()),
    )
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def _plain(mount: BindMount, separators: str) -> str:
    """Return the host's path of *mount*. Raises UsageError for a character that parts fields."""
    path = str(mount.host)
    if found := [character for character in (*separators, "\n") if character in path + mount.container]:
        raise UsageError(f"{path} cannot be mounted: this runtime takes no {found[0]!r} in a path.")
    return path


def _for_pyxis(plan: RunPlan) -> Mapping[str, str]:
    gpus = plan.limits.gpu_request
    return {"NVIDIA_VISIBLE_DEVICES": ",".join(gpus.names), **_GPU_DRIVER} if gpus else {}


_OF_APPTAINER = (_NO_PROCESSES, _TMP)
_OF_ENROOT = (_NO_PROCESSES, "No limit of memory.", "No limit of processors.", _NETWORK, _PROCESSES_SEEN)
KINDS: Mapping[RuntimeName, CommandKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            CommandKind(
                RuntimeName.APPTAINER,
                "apptainer",
                ImageKind.SIF,
                apptainer,
                _OF_APPTAINER,
                frozenset({"cpus", "cpuset", "memory"}),
            ),
            CommandKind(
                RuntimeName.SINGULARITY,
                "singularity",
                ImageKind.SIF,
                singularity,
                _OF_APPTAINER,
                frozenset({"cpus", "cpuset", "memory"}),
            ),
            CommandKind(
                RuntimeName.ENROOT, "enroot", ImageKind.SQSH, enroot, _OF_ENROOT, _CPUSET, version=("version",)
            ),
            CommandKind(
                RuntimeName.PYXIS,
                "srun",
                ImageKind.SQSH,
                pyxis,
                (*_OF_ENROOT, _TMP, "No limit to certain processors."),
                variables=_for_pyxis,
                proof="--container-image",
            ),
            CommandKind(
                RuntimeName.CHARLIECLOUD,
                "ch-run",
                ImageKind.ROOT,
                charliecloud,
                (
                    _NO_PROCESSES,
                    "No limit of memory.",
                    "No limit of processors.",
                    "Mounts are as writable as they are on the host.",
                    "Temporary files may take half of the memory.",
                    _PROCESSES_SEEN,
                    "System calls are not filtered.",
                    "Devices are the host's.",
                ),
                _CPUSET,
                has_gpus=False,
                needs_mount_points=True,
            ),
        )
    }
)
"""The runtimes, by name."""
