"""Words that only the host uses: pull policies, prefix of labels, names of cells."""

from enum import StrEnum


class PullPolicy(StrEnum):
    """Policy by which `run` asks the registry for an image."""

    ALWAYS = "always"
    MISSING = "missing"
    NEVER = "never"


class HarnessName(StrEnum):
    """Harness of a run."""

    OWN = "own"
    REFERENCE = "reference"
    """The reference implementation, out of the user's checkout."""


class RuntimeName(StrEnum):
    """Runtime of containers."""

    DOCKER = "docker"
    """A Docker engine, or what speaks its API."""
    PODMAN = "podman"
    APPTAINER = "apptainer"
    SINGULARITY = "singularity"
    ENROOT = "enroot"
    PYXIS = "pyxis"
    """enroot as Slurm's plug-in: `srun --container-image`."""
    CHARLIECLOUD = "charliecloud"


class ClusterName(StrEnum):
    """Cluster that `campaign run --on` hands runs to."""

    SLURM = "slurm"
    KUBERNETES = "kubernetes"


DEBUG_VARIABLE = "MLPERF_DOCKER_DEBUG"
"""Set by --debug: errors show their traceback, those of the harness too."""

LABEL = "org.mlperf-docker"


def variant_name(backend: str, device: str) -> str:
    """Return the name of a backend on a device, which is a moving tag and the stem of a lock."""
    return f"{backend}-{device}"


def cell_name(model: str, backend: str, device: str) -> str:
    """Return the name of a cell, `<model>:<backend>-<device>`."""
    return f"{model}:{variant_name(backend, device)}"
