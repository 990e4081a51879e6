"""Folders of Jobs in the results folder: made, found again, given their place, and gone with the last run."""

from pathlib import Path

from mlperf_docker.clusters.kubernetes import jobs, kept
from tests.clusters.kubernetes.test_jobs import SETTINGS, job, run


def made(results: Path) -> None:
    kept.make(results, jobs.manifest(job(run("a"), run("b")), SETTINGS), 2)


def test_a_job_is_known_again_by_the_manifest_in_its_folder(tmp_path: Path) -> None:
    made(tmp_path)
    (found,) = kept.jobs(tmp_path)
    assert [each.name for each in found.runs] == ["a", "b"]
    assert kept.any_of(tmp_path)


def test_a_folder_of_another_kind_is_no_job(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / kept.FOLDER / "notes").mkdir()
    (tmp_path / kept.FOLDER / "broken").mkdir()
    (tmp_path / kept.FOLDER / "broken" / "job.json").write_text("[1")
    assert len(list(kept.jobs(tmp_path))) == 1
    assert list(kept.jobs(tmp_path / "nowhere")) == []


def test_the_folder_of_a_job_goes_with_its_last_run(tmp_path: Path) -> None:
    made(tmp_path)
    first = kept.run_folder(tmp_path, "mlperf-1", 0)
    (first / "mlperf_log_summary.txt").touch()
    assert not kept.is_untouched(first)
    place = kept.moved(first, tmp_path, "20261129T100000.000-a")
    assert (place / "mlperf_log_summary.txt").is_file()
    assert kept.any_of(tmp_path)
    kept.drop_all(tmp_path, "mlperf-1", 2)
    assert not kept.any_of(tmp_path)


def test_a_folder_that_a_pod_has_written_to_is_not_dropped(tmp_path: Path) -> None:
    made(tmp_path)
    (kept.run_folder(tmp_path, "mlperf-1", 1) / "log").touch()
    kept.drop_all(tmp_path, "mlperf-1", 2)
    assert [each.name for each in kept.folder_of(tmp_path, "mlperf-1").iterdir() if each.is_dir()] == ["1"]
