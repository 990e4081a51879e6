"""Words of Slurm's commands as values."""

import pytest

from mlperf_docker.clusters.slurm import queue
from mlperf_docker.clusters.slurm.queue import Task
from mlperf_docker.errors import ClusterError
from tests.fixtures.slurm import Slurm


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0:09", 9), ("12:30", 750), ("2:00:00", 7200), ("1-02:03:04", 93784), ("UNLIMITED", None), ("", None)],
)
def test_a_time_of_slurm_in_seconds(text: str, expected: float | None) -> None:
    assert queue.seconds(text) == expected


@pytest.mark.parametrize(
    ("state", "waits", "ended", "end"),
    [
        ("PENDING", True, False, None),
        ("REQUEUED", True, False, None),
        ("RUNNING", False, False, None),
        ("COMPLETING", False, False, None),
        ("COMPLETED", False, True, None),
        ("FAILED", False, True, None),
        ("NODE_FAIL", False, True, "NODE_FAIL"),
        ("OUT_OF_MEMORY", False, True, "OUT_OF_MEMORY"),
    ],
)
def test_a_state_of_slurm_is_one_of_three(state: str, waits: bool, ended: bool, end: str | None) -> None:
    task = Task("1", 0, state)
    assert (task.is_waiting, task.has_ended, task.end) == (waits, ended, end)


def test_lines_of_squeue_are_tasks_whatever_the_script_is_called() -> None:
    text = "CLUSTER: c1\n12|0|RUNNING|None|n1|0:12|2:00:00|/a|b c/1.sh\n12|N/A|RUNNING|None|n1|0:12|1:00|/other\n"
    (task,) = queue._queued(text)
    assert (task.job, task.number, task.node, task.reason) == ("12", 0, "n1", None)
    assert (str(task.script), task.used_s, task.limit_s) == ("/a|b c/1.sh", 12, 7200)


def test_lines_of_sacct_are_tasks() -> None:
    """As its manual describes --parsable2; this Slurm keeps no accounts."""
    text = "12_0|COMPLETED|n1\n12_1|CANCELLED by 1000|n2\n12_[2-3]|PENDING|None assigned\n13|FAILED|n1\n12_4|TIMEOUT|\n"
    found = [(task.job, task.number, task.state, task.node) for task in queue._accounted(text)]
    assert found == [("12", 0, "COMPLETED", "n1"), ("12", 1, "CANCELLED", "n2"), ("12", 4, "TIMEOUT", None)]


@pytest.mark.parametrize(("used_s", "limit_s", "warned"), [(61, 120, True), (61, 600, False), (0, 60, True)])
def test_a_job_near_its_limit_may_have_been_warned(used_s: float, limit_s: float, warned: bool) -> None:
    assert Task("1", 0, "FAILED", node="n1", used_s=used_s, limit_s=limit_s).was_warned is warned


def test_a_job_that_never_began_was_not_warned() -> None:
    assert not Task("1", 0, "CANCELLED", used_s=0, limit_s=60).was_warned


def test_jobs_that_the_queue_has_forgotten_are_none(on_slurm: Slurm) -> None:
    assert queue.tasks(["99999"]) == ()
    assert queue.tasks(["99998", "99999"]) == ()
    assert queue.accounted(["99999"]) == ()
    queue.cancel(["99999"])


def test_a_host_without_slurm_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for ask in (queue.require, queue.own_tasks):
        with pytest.raises(ClusterError, match="in the PATH"):
            ask()
    assert not queue.can_tell()
    assert queue.accounted(["1"]) == ()
