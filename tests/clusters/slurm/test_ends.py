"""Ends of jobs that only their logs remember."""

from pathlib import Path

import pytest

from mlperf_docker.clusters.slurm.ends import told_by

STOPPED = "slurmstepd: error: *** JOB 12 ON n1 CANCELLED AT 2026-11-29T20:00:00{} ***"


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        (STOPPED.format(""), "CANCELLED"),
        (STOPPED.format(" DUE TO TIME LIMIT"), "TIMEOUT"),
        (STOPPED.format(" DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS"), "NODE_FAIL"),
        (STOPPED.format(" DUE TO PREEMPTION"), "PREEMPTED"),
        (f"{STOPPED.format(' DUE TO TIME LIMIT')}\nInterrupted.", "interrupted"),
        (
            "Error: No Docker engine at unix:///run/docker.sock.\nHint:  Start it.",
            "No Docker engine at unix:///run/docker.sock.",
        ),
        ("[   0.1 s] loadgen\n4 runs: 1 finished.", None),
        ("", None),
    ],
)
def test_a_log_tells_how_its_job_ended(lines: str, end: str | None, tmp_path: Path) -> None:
    log = tmp_path / "12_0.log"
    log.write_text(f"{lines}\n")
    assert told_by(log) == end


def test_a_job_without_a_log_tells_nothing(tmp_path: Path) -> None:
    assert told_by(tmp_path / "none.log") is None
