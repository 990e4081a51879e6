"""Folders of our compliance runs under upstream's own verification scripts, for every benchmark.

Needs MLPERF_INFERENCE, a checkout of mlcommons/inference.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.contract.words import ComplianceTest, Scenario
from tests.harness.compliance.runs import RATE, CellRuns
from tests.harness.installed import BACKENDS
from tests.harness.process import Finished
from tests.tries import in_time

pytestmark = pytest.mark.skipif(
    not os.environ.get("MLPERF_INFERENCE"), reason="MLPERF_INFERENCE names no checkout of mlcommons/inference"
)
TRIES = 6
"""Pairs of runs of the benchmarks that the machine limits: a busy one seldom is as busy twice."""
RATES = {"retinanet": 10, "rnnt": 20, "3d-unet": None}
"""Rates of Server runs that a busy machine keeps up with, if not the usual one; None for Offline, without Server."""
TESTED = [
    (model.name, test)
    for model in Catalog.load().models
    if model.compliance and model.default_backend in BACKENDS
    for test in model.compliance.tests
    if test is not ComplianceTest.TEST05  # whose scripts only tags up to v4.1 have
]


def submitted(runs: CellRuns) -> Path:
    """The runs' logs where upstream's scripts look for them."""
    scenario = runs.folder / "scenario"
    scenario.mkdir(exist_ok=True)
    for source, place in (("accuracy", "accuracy"), ("performance", "performance/run_1")):
        if (runs.folder / source).is_dir():
            shutil.copytree(runs.folder / source, scenario / place, dirs_exist_ok=True)
    return scenario


def upstream(runs: CellRuns, test: ComplianceTest, *options: str) -> str:
    """What upstream's script says of the runs."""
    script = Path(os.environ["MLPERF_INFERENCE"]) / "compliance" / test / "run_verification.py"
    scenario = submitted(runs)
    line = [sys.executable, str(script), "-r", str(scenario), "-c", str(runs.folder / test), "-o", str(scenario)]
    done = subprocess.run(
        [*line, *options], capture_output=True, text=True, timeout=120, check=True, cwd=runs.folder / "scenario"
    )
    return done.stdout


@pytest.mark.parametrize(("model", "test"), TESTED)
def test_upstreams_scripts_say_pass(model: str, test: ComplianceTest, cache: Path, tmp_path: Path) -> None:
    rate = RATES.get(model, RATE)
    runs = CellRuns(model, cache, tmp_path, Scenario.SERVER if rate else Scenario.OFFLINE, rate or RATE)
    if test.compares_answers:
        assert runs.accuracy().valid()

    def pair() -> Finished:
        before = runs.performance()
        return runs.compliance(test) if before.valid() else before

    done = in_time(pair, Finished.valid, tries=TRIES)
    verdict = done.result["compliance"]
    assert verdict["passed"], done.result["reasons"]
    said = upstream(runs, test)
    assert "Performance check pass: True" in said, said
    if test.compares_answers:
        first = verdict["accuracy"]["path"] == "first element"
        assert f"Accuracy check pass: {first}" in said, said
        entries = sum(1 for line in (tmp_path / test / "mlperf_log_accuracy.json").read_bytes().splitlines()[1:-1])
        assert f"num_perf_log_qsl_idx_match = {entries}" in said
        assert verdict["accuracy"]["compared"] == entries


@pytest.mark.parametrize("scenario", Scenario)
def test_upstreams_verdict_on_figures_is_ours(scenario: Scenario, cache: Path, tmp_path: Path) -> None:
    """Whatever it is: a backend that answers at once has figures that vary much."""
    runs = CellRuns("resnet50", cache, tmp_path, scenario, backend="dummy")
    runs.accuracy()
    runs.performance()
    for test in (ComplianceTest.TEST01, ComplianceTest.TEST04):
        done = runs.compliance(test)
        assert done.result["compliance"]["performance"]["ratio"] > 0
        ours = "TEST PASS" in (tmp_path / test / "verify_performance.txt").read_text().splitlines()
        assert f"Performance check pass: {ours}" in upstream(runs, test), done.result["compliance"]


def test_upstreams_script_fails_where_ours_does(cache: Path, tmp_path: Path) -> None:
    runs = CellRuns("resnet50", cache, tmp_path)
    runs.accuracy()
    runs.performance()
    log = tmp_path / "accuracy/mlperf_log_accuracy.json"
    label = np.array([77], np.float32).tobytes().hex().upper()
    lines = [
        f'{line.partition(chr(34) + "data")[0]}"data" : "{label}" }},' if '"qsl_idx" : 5,' in line else line
        for line in log.read_text().splitlines()
    ]
    log.write_text("\n".join(lines).replace("},\n]", "}\n]"))
    done = runs.compliance(ComplianceTest.TEST01)
    said = upstream(runs, ComplianceTest.TEST01, "--dtype", "float32")
    assert done.result["compliance"]["accuracy"]["first_element_differing"] > 0
    assert "Accuracy check pass: False" in said
