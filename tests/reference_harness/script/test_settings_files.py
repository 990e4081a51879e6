"""LoadGen's settings files, as older code reads them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.process import PATIENCE_S, environment

ERROR = "Multiple conf files are used"
SCRIPT = """
import sys
import mlperf_loadgen as lg
from mlperf_docker.reference_harness.script import settings_files
if {adapted}:
    lg.TestSettings.FromConfig = settings_files.apart(lg.TestSettings.FromConfig)
settings = lg.TestSettings()
settings.scenario = lg.TestScenario.Offline
assert settings.FromConfig("{rules}", "3d-unet", "Offline") == 0
assert settings.FromConfig("user.conf", "3d-unet", "Offline") == 0
assert settings.offline_expected_qps == 7
print(settings.qsl_rng_seed, settings.min_query_count)
settings.max_query_count = settings.min_duration_ms = 1
answer = lambda queries: lg.QuerySamplesComplete([lg.QuerySampleResponse(each.id, 0, 0) for each in queries])
sut, qsl = lg.ConstructSUT(answer, lambda: None), lg.ConstructQSL(1, 1, lambda _: None, lambda _: None)
lg.StartTest(sut, qsl, settings, "")
lg.DestroyQSL(qsl)
lg.DestroySUT(sut)
"""


def run(folder: Path, *, adapted: bool, rules: str) -> tuple[list[str], str]:
    """Run a script that reads two files; what it prints of its settings, and LoadGen's log."""
    (folder / rules).write_text("*.Offline.min_query_count = 1\n")
    (folder / "user.conf").write_text("*.Offline.target_qps = 7\n")
    script = SCRIPT.format(adapted=adapted, rules=rules)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return done.stdout.split()[:2], (folder / "mlperf_log_detail.txt").read_text()


def test_an_mlperf_conf_is_loadgens_own(tmp_path: Path) -> None:
    (seed, _), log = run(tmp_path, adapted=True, rules="mlperf.conf")
    assert ERROR not in log
    assert int(seed) > 0


@pytest.mark.parametrize(("adapted", "rules"), [(False, "mlperf.conf"), (True, "other.conf")])
def test_two_files_of_the_users_are_an_error_of_loadgens(tmp_path: Path, adapted: bool, rules: str) -> None:
    _, log = run(tmp_path, adapted=adapted, rules=rules)
    assert ERROR in log
