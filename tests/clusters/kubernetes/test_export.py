"""Export: files that kubectl takes, of what is ready; nothing where a request is wrong."""

from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from mlperf_docker.clusters.kubernetes import export, kept
from mlperf_docker.clusters.kubernetes.volumes import NoVolumeError
from mlperf_docker.errors import UsageError
from tests.campaigns.finishing import finish
from tests.clusters.kubernetes.lab import Lab
from tests.fakes.engine import FakeDisplay


def test_an_export_is_files_of_what_is_ready_that_kubernetes_schemas_take(lab: Lab, tmp_path: Path) -> None:
    found, output = lab.planner(), tmp_path / "jobs"
    done = export.export(found.plan(), output, FakeDisplay())
    assert sorted(done.files) == sorted(output.iterdir())
    kinds = []
    for path in done.files:
        assert "&" not in path.read_text()
        manifest = yaml.safe_load(path.read_text())
        kubernetes_validate.validate(manifest, "1.37", strict=True)
        kinds.append(manifest["kind"])
    assert kinds == ["NetworkPolicy", "Job"]
    assert (len(done.jobs[0].runs), len(done.later)) == (6, 6)
    assert all((kept.run_folder(lab.results, done.jobs[0].name, index)).is_dir() for index in range(6))
    assert export.told(done, output)[0] == f"6 runs in 1 Job. Submit: kubectl apply -f {output}"


def test_runs_are_not_exported_twice_unnoticed(lab: Lab, tmp_path: Path) -> None:
    plan = lab.planner().plan()
    first = export.export(plan, tmp_path / "jobs", FakeDisplay())
    with pytest.raises(UsageError, match="Jobs of an earlier export"):
        export.export(plan, tmp_path / "jobs", FakeDisplay())
    again = export.export(plan, tmp_path / "others", FakeDisplay())
    assert again.earlier == (first.jobs[0].name,)
    assert first.jobs[0].name in export.told(again, tmp_path)[1]


def test_tests_that_wait_are_exported_when_the_runs_that_they_need_are_there(lab: Lab, tmp_path: Path) -> None:
    found = lab.planner()
    for run in found.plan().runs[:6]:
        finish(run, found)
    done = export.export(found.plan(), tmp_path / "jobs", FakeDisplay())
    assert sum(len(each.runs) for each in done.jobs) == 6
    mounts = done.jobs[0].manifest["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert {"/performance-run"} <= {each["mountPath"] for each in mounts if each.get("readOnly")}


def test_a_folder_without_a_volume_writes_nothing(lab: Lab, tmp_path: Path) -> None:
    plan = lab.planner().plan()
    plan.campaign.kubernetes.__dict__["volumes"] = ()
    with pytest.raises(NoVolumeError, match=str(lab.results)):
        export.export(plan, tmp_path / "jobs", FakeDisplay())
    assert not (tmp_path / "jobs").exists()
    assert not (lab.results / kept.FOLDER).exists()
