"""Jobs of a cluster that runs of a campaign were handed to, as the cluster tells of them."""

from dataclasses import dataclass
from enum import StrEnum

from mlperf_docker.names import ClusterName


class JobState(StrEnum):
    """State of a job, in words that all clusters share."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True)
class ClusterJob:
    """Job of one run."""

    cluster: ClusterName
    run: str
    """The run's name."""
    id: str
    """The job's name in its cluster, as people give it to the cluster's own commands."""
    state: JobState
    node: str | None = None
    """The node that it is, or was, on."""
    why: str | None = None
    """What it waits for, or how it ended if that was not by itself, in the cluster's own word: `TIMEOUT`."""

    @property
    def is_live(self) -> bool:
        """Whether the cluster still has it."""
        return self.state is not JobState.ENDED

    def __str__(self) -> str:
        place = f" on {self.node}" if self.node else ""
        return f"job {self.id}{place}{f': {self.why}' if self.why else ''}"
