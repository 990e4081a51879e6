"""Runtimes as checks of `doctor`."""

import stat
from pathlib import Path

import pytest

from mlperf_docker.maintenance.doctor import Check, Severity
from mlperf_docker.runtimes.found import with_runtimes

NO_ENGINE = Check("engine", Severity.FAIL, "No Docker engine is running.", "Start it")


def install(folder: Path, program: str, script: str) -> None:
    (folder / program).write_text(f"#!/bin/sh\n{script}\n")
    (folder / program).chmod(stat.S_IRWXU)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that programs are looked for in."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_an_engine_that_is_missing_is_a_failure_where_nothing_else_is(programs: Path) -> None:
    assert with_runtimes([NO_ENGINE]) == [NO_ENGINE]


def test_a_runtime_that_works_makes_a_missing_engine_a_warning(programs: Path) -> None:
    install(programs, "apptainer", "echo apptainer version 1.3.4")
    engine, apptainer = with_runtimes([NO_ENGINE])
    assert (engine.level, engine.finding) == (Severity.WARN, NO_ENGINE.finding)
    assert (apptainer.name, apptainer.level) == ("apptainer", Severity.OK)
    assert apptainer.finding.startswith("1.3.4, --runtime apptainer. No limit of processes.")


def test_slurm_without_pyxis_is_no_runtime(programs: Path) -> None:
    install(programs, "srun", "echo slurm 22.05.8")
    assert with_runtimes([NO_ENGINE]) == [NO_ENGINE]
    install(programs, "srun", 'case $1 in --help) echo "  --container-image=IMAGE";; *) echo slurm 22.05.8;; esac')
    assert with_runtimes([NO_ENGINE])[1].level is Severity.OK
