"""Campaigns on a real engine: from a new file to a complete one, and kills at random moments.

A few moments here, of a campaign of four runs; `make kills` has many, of one of twelve.
"""

import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.results import store
from tests.cells.tool import PERFORMED, Tool, containers

pytestmark = pytest.mark.engine
_FEW = 4
COUNT, SEED = int(os.environ.get("MLPERF_TEST_KILLS", str(_FEW))), int(os.environ.get("MLPERF_TEST_SEED", "11"))
_HEAD = "round: v4.1\ndivision: open\nsuite: edge\nsubmitter: Example\noptions: {synthetic: tiny, min_duration: 1}\n"
_TIMED = "scenarios: [SingleStream, Server], scenario_options: {Server: {target_qps: 200, target_latency: 3000}}"
FOUR = f"{_HEAD}cells:\n  - {{model: resnet50, {_TIMED}}}\n"
TWELVE = (
    f"{FOUR}  - {{model: bert, {_TIMED}}}\n"
    "  - {model: retinanet, scenarios: [SingleStream, MultiStream, Server, Offline], modes: [accuracy]}\n"
)
_SHARE = 4
"""A kill comes within this part of the time that the whole campaign takes."""
_SETTLED_S = 10.0
_PATIENCE_S = 300.0


@dataclass
class Kills:
    """Figures of all kills."""

    points: int = 0
    complete: int = 0
    """Campaigns that came to their end."""
    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    halves: list[str] = field(default_factory=list)
    """Results that cannot be read, or that the host has not completed."""

    @property
    def wrong(self) -> list[str]:
        """All that is not as it should be."""
        return [*self.lost, *self.repeated, *self.left, *self.halves]

    def __str__(self) -> str:
        return (
            f"{self.points} kills in {self.complete} campaigns: finished runs lost {len(self.lost)}, repeated"
            f" {len(self.repeated)}, half results {len(self.halves)}, containers left {len(self.left)}"
        )


@dataclass(frozen=True)
class Ground:
    """Campaign in a folder, and the command that runs it."""

    tool: Tool
    path: Path

    @property
    def results(self) -> Path:
        return self.path.parent / "results"

    def run(self) -> tuple[str, ...]:
        return ("campaign", "run", str(self.path), "--bootstrap-base")

    def finished(self) -> dict[str, str]:
        """Run → the folder of its result, of those that are finished."""
        plan = json.loads(self.tool("campaign", "status", str(self.path), "--json").stdout)
        return {run["name"]: run["result"] for run in plan["runs"] if run["state"] == "finished"}

    def size(self) -> int:
        return len(json.loads(self.tool("campaign", "plan", str(self.path), "--json").stdout)["runs"])


@pytest.fixture
def ground(tool: Tool, image: str, tmp_path: Path) -> Ground:
    path = tmp_path / "campaign.yaml"
    path.write_text(TWELVE if COUNT > _FEW else FOUR)
    return Ground(tool, path)


def kill(ground: Ground, client: DockerEngine, seed: int, count: int) -> Kills:
    """Kill `campaign run` at *count* random moments; a campaign that is complete begins anew."""
    source, figures = random.Random(seed), Kills()  # noqa: S311  # moments, not secrets
    start = time.monotonic()
    ground.tool(*ground.run(), expect=PERFORMED)
    whole_s, before, size = time.monotonic() - start, ground.finished(), ground.size()
    while figures.points < count:
        if len(before) == size:
            figures.complete += 1
            figures.repeated += _repeated(ground)
            shutil.rmtree(ground.results)
            before = {}
        moment = source.random() * whole_s / _SHARE
        figures.points += _killed(ground, moment)
        figures.left += _left(client)
        after = ground.finished()
        told = f"kill {figures.points} after {moment:.2f} s"
        figures.lost += [f"{told}: {run}" for run, folder in before.items() if after.get(run) != folder]
        found = store.read_all(ground.results) if ground.results.exists() else store.StoredResults(())
        figures.halves += [f"{told}: {each}" for each in found.left_out]
        figures.halves += [f"{told}: {each.name}" for each in found.results if each.request is None]
        before = after
    while len(ground.finished()) < size:
        ground.tool(*ground.run(), expect=PERFORMED)
    figures.complete += 1
    figures.repeated += _repeated(ground)
    return figures


def _killed(ground: Ground, moment: float) -> bool:
    """Start the campaign's run and kill it after *moment*; tell whether it was still there."""
    running = ground.tool.start(*ground.run())
    time.sleep(moment)
    was_there = running.poll() is None
    running.kill()
    running.communicate(timeout=_PATIENCE_S)
    return was_there


def _left(client: DockerEngine) -> list[str]:
    deadline = time.monotonic() + _SETTLED_S
    while (found := containers(client)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return list(found)


def _repeated(ground: Ground) -> list[str]:
    """The runs that have more than one result which counts."""
    found = store.read_all(ground.results).results
    counts = Counter((each.cell, each.scenario, each.mode) for each in found if each.valid)
    return [f"{' '.join(run)}: {times} results" for run, times in counts.items() if times > 1]


def test_kills_at_random_moments_of_a_campaign(ground: Ground, client: DockerEngine) -> None:
    figures = kill(ground, client, SEED, COUNT)
    sys.stdout.write(f"{figures}\n")
    assert not figures.wrong, "\n".join((*figures.wrong, str(figures)))
    assert figures.points == COUNT


def plan_of(tool: Tool, path: Path, command: str = "plan") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tool("campaign", command, str(path), "--json").stdout)
    return found


def test_a_campaign_from_a_new_file_to_its_report(tool: Tool, image: str, tmp_path: Path) -> None:
    """The closed division, one scenario: accuracy, performance, and the tests, which are held to both."""
    path = tmp_path / "campaign.yaml"
    tool("campaign", "init", "resnet50", "--synthetic=tiny", "--set", "min_duration=1", "--to", str(path))
    path.write_text(path.read_text().replace("scenarios: required", "scenarios: [SingleStream]"))
    assert [run["state"] for run in plan_of(tool, path)["runs"]] == ["missing", "missing", "waiting", "waiting"]
    for _ in range(3):  # a test of speed may fail on a busy host
        done = tool("campaign", "run", str(path), expect=PERFORMED)
        if done.returncode == 0:
            break
    plan = plan_of(tool, path, "status")
    states = {run["kind"]: run["state"] for run in plan["runs"]}
    assert states["accuracy"] == states["performance"] == "finished"
    folders = {run["kind"]: run["result"] for run in plan["runs"]}
    for run in plan["runs"]:
        if run["kind"].startswith("TEST") and run["result"]:
            verdict = json.loads((tmp_path / "results" / run["result"] / "result.json").read_text())["compliance"]
            assert verdict["performance_run"] == folders["performance"]
    before = sorted((tmp_path / "results").iterdir())
    if plan["complete"]:
        assert "4 runs: 4 finished." in tool("campaign", "run", str(path)).stdout
        assert sorted((tmp_path / "results").iterdir()) == before
    report = tool("campaign", "report", str(path)).stdout.strip()
    assert "resnet SingleStream" in Path(report).read_text()
