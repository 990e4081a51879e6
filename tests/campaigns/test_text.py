"""Plans as text and as JSON, and the report's matrix."""

import json
from pathlib import Path

import pytest

from mlperf_docker.campaigns.campaign import Campaign
from mlperf_docker.campaigns.matrix import matrix
from mlperf_docker.campaigns.text import fields, plan_text, status_text
from mlperf_docker.system import strict_json
from tests.campaigns.files import HEAD, campaign
from tests.campaigns.finishing import finish, finish_all, named, planned, plans

TINY = f"{HEAD}options: {{synthetic: tiny, min_duration: 1}}\n"


@pytest.fixture
def resnet(tmp_path: Path) -> Campaign:
    return campaign(tmp_path, "- {model: resnet50, scenarios: [Offline]}", TINY)


def test_a_plan_shows_each_run_with_state_time_and_reason(resnet: Campaign) -> None:
    maker = plans(resnet)
    finish(named(maker.plan(), "performance"), maker)
    lines = plan_text(maker.plan(), None).splitlines()
    assert [line.split()[3] for line in lines[1:5]] == ["accuracy", "performance", "TEST01", "TEST04"]
    assert "missing" in lines[1]
    assert "unknown time" in lines[1]
    assert "finished" in lines[2]
    assert "123.456 samples/s" in lines[2]
    assert lines[3].endswith("for its accuracy run")
    assert lines[-1] == "4 runs: 1 finished, 2 missing, 1 waiting; at least 14 s left."


def test_a_status_shows_each_slot_and_the_next_command(resnet: Campaign, tmp_path: Path) -> None:
    lines = status_text(planned(resnet), None).splitlines()
    assert lines[1].split()[:4] == ["resnet", "Offline", "accuracy", "missing"]
    assert lines[-1] == f"Next: mlperf-docker campaign run {tmp_path / 'campaign.yaml'}"
    finish_all(resnet)
    lines = status_text(planned(resnet), None).splitlines()
    assert lines[-2] == "4 runs: 4 finished."
    assert lines[-1] == f"Next: mlperf-docker submission create {tmp_path / 'campaign.yaml'} --to submission"


def test_a_plan_for_programs_has_counts_runs_and_slots(resnet: Campaign) -> None:
    finish_all(resnet)
    found = json.loads(strict_json.dumps(fields(planned(resnet))))
    assert (found["complete"], found["counts"]["finished"], found["round"]) == (True, 4, "v6.1")
    assert found["runs"][0]["slots"] == [{"benchmark": "resnet", "scenario": "Offline", "kind": "accuracy"}]
    assert Path(found["results"], found["runs"][0]["result"], "result.json").is_file()


def test_a_matrix_has_a_row_for_each_slot_and_a_column_for_each_kind(resnet: Campaign) -> None:
    maker = plans(resnet)
    result = finish(named(maker.plan(), "performance"), maker)
    found = matrix(maker.plan())
    assert found.columns == ("accuracy", "performance", "TEST01", "TEST04")
    (row,) = found.rows
    assert (row.name, row.entries["performance"].run) == ("resnet Offline", result.name)
    assert [row.entries[each].state for each in found.columns] == ["missing", "finished", "waiting", "missing"]
