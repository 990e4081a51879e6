"""TEST04 against SUTs that cache results, and that do not."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker.contract import detail_log
from mlperf_docker.contract.cell import ComplianceTests
from mlperf_docker.contract.words import ComplianceTest, Scenario
from mlperf_docker.harness.compliance import audit, figures
from tests.harness.process import PATIENCE_S, environment
from tests.tries import in_time

TEST04 = ComplianceTest.TEST04
KNOWN = ComplianceTests((TEST04,))


def run(scenario: Scenario, folder: Path, settings: str, *, caches: bool) -> detail_log.DetailLog:
    folder.mkdir(exist_ok=True)
    line = [sys.executable, "-m", "tests.harness.compliance.caching_sut", scenario, str(folder), settings]
    subprocess.run([*line, str(int(caches))], check=True, timeout=PATIENCE_S, env=environment(), cwd=folder)
    return detail_log.read(folder)


@pytest.mark.parametrize("scenario", [Scenario.SINGLE_STREAM, Scenario.OFFLINE])
@pytest.mark.parametrize("caches", [True, False])
def test_test04_finds_a_cache_of_results(scenario: Scenario, caches: bool, tmp_path: Path) -> None:
    """A cache is many times quicker for the one sample; without, a busy machine may make the first run slow."""
    settings = tmp_path / audit.NAME
    settings.write_text(audit.text(TEST04, KNOWN))

    def problems() -> list[str]:
        before = run(scenario, tmp_path / "performance", "-", caches=caches)
        now = run(scenario, tmp_path / "test04", str(settings), caches=caches)
        assert list(audit.unread(TEST04, KNOWN, now)) == []
        return list(figures.problems(scenario, before, now, figures.compare(TEST04, scenario, before, now)))

    found = in_time(problems, lambda each: caches or not each, tries=5)
    assert bool(found) is caches, found


def test_loadgen_that_was_not_told_of_the_settings_is_found_out(tmp_path: Path) -> None:
    log = run(Scenario.SINGLE_STREAM, tmp_path / "test04", "-", caches=False)
    assert list(audit.unread(TEST04, KNOWN, log)) == ["LoadGen did not read audit.config"]
