"""Settings of Slurm jobs: of campaign.yaml, of its cells, of the command line; what cannot be given."""

from pathlib import Path

import pytest

from mlperf_docker.campaigns.slurm import SlurmSettings, given, of_words
from tests.campaigns.files import HEAD, campaign, problems

CELLS = """\
- model: resnet50
- model: bert
  slurm: {partition: gpu, gres: "gpu:8", setup: [module load cuda]}
"""


def lines(settings: SlurmSettings) -> dict[str, str | bool]:
    return dict(settings.lines())


def of_cells(folder: Path, slurm: str, cells: str = CELLS) -> list[SlurmSettings]:
    head = f"{HEAD}options: {{synthetic: tiny}}\nslurm: {slurm}\n"
    return [cell.slurm for cell in campaign(folder, cells, head).cells]


def test_a_cell_has_the_settings_of_all_under_its_own(tmp_path: Path) -> None:
    first, second = of_cells(tmp_path, "{partition: main, account: lab, setup: [module load tool]}")
    assert (dict(first.options), first.setup) == ({"partition": "main", "account": "lab"}, ("module load tool",))
    assert dict(second.options) == {"partition": "gpu", "account": "lab", "gres": "gpu:8"}
    assert second.setup == ("module load cuda",)


def test_equal_settings_are_alike_in_any_order() -> None:
    assert given({"time": 30, "account": "a"})[0] == given({"account": "a", "time": 30})[0]


def test_a_node_is_a_jobs_own_with_all_of_its_memory_unless_it_is_shared() -> None:
    assert lines(SlurmSettings()) == {"exclusive": True, "mem": "0", "requeue": True, "signal": "B:TERM@60"}
    assert lines(given({"exclusive": False, "mem": "8G"})[0]) == {
        "mem": "8G",
        "requeue": True,
        "signal": "B:TERM@60",
    }
    assert "mem" not in lines(given({"exclusive": False})[0])
    assert "mem" not in lines(given({"mem_per_cpu": "2G"})[0])
    assert "requeue" not in lines(given({"no_requeue": True})[0])


@pytest.mark.parametrize("time", ["2:00:00", "12:30", "1-0:00:00", "90", '"2:00:00"'])
def test_a_time_is_what_is_written(time: str, tmp_path: Path) -> None:
    """YAML 1.1 would read 2:00:00 as 7200, which are minutes to sbatch."""
    (first, _) = of_cells(tmp_path, f"{{time: {time}}}")
    assert dict(first.options) == {"time": time.strip('"')}


def test_words_of_the_command_line_are_the_same_settings() -> None:
    words = ["partition=gpu", "--gres=gpu:8", "mail-type=END,FAIL", "spread-job", "exclusive=false"]
    expected = given(
        {"partition": "gpu", "gres": "gpu:8", "mail_type": "END,FAIL", "spread_job": True, "exclusive": False}
    )
    assert of_words(words) == expected
    assert expected[1] == []


def test_settings_that_cannot_be_are_told_together_by_line(tmp_path: Path) -> None:
    head = f"{HEAD}options: {{synthetic: tiny}}\nslurm:\n  array: 0-3\n  P: main\n  gres: [gpu]\n  setup: 3\n"
    cells = '- {model: resnet50, slurm: {comment: "two\\nlines", clusters: all}}'
    found = [(line, message.split(": ", 1)[0]) for line, message in problems(tmp_path, cells, head)]
    assert found == [
        (7, "slurm.array"),
        (8, "slurm.P"),
        (9, "slurm.gres"),
        (10, "slurm.setup"),
        (12, "cells[0].slurm.clusters"),
        (12, "cells[0].slurm.comment"),
    ]
