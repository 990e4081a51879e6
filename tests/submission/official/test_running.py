"""Run of upstream's checkers: what they are told, what becomes of their output, and of those that never end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlperf_docker.errors import UsageError
from mlperf_docker.rounds.loading import Rounds
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.official import checkout, running
from mlperf_docker.submission.official.running import OfficialVerdict

SCRIPT = "tools/submission/submission_checker_old.py"


@pytest.fixture
def asked(tmp_path: Path, rounds: Rounds) -> Callable[[str], OfficialVerdict]:
    """Give the verdict of a checker whose program is given."""

    def ask(program: str) -> OfficialVerdict:
        (tmp_path / "checkout" / SCRIPT).parent.mkdir(parents=True)
        table = 'TABLE = {\n    "v6.1": {\n    },\n}\n'
        (tmp_path / "checkout" / SCRIPT).write_text(f"import sys\n{table}{program}\n")
        (tmp_path / "tree").mkdir()
        found, round_ = checkout.find(tmp_path / "checkout"), rounds.find("v6.1")
        (verdict,) = running.verdicts(found, round_, running.on_host(found, tmp_path / "tree", round_))
        return verdict

    return ask


def test_the_exit_code_of_a_checker_is_its_verdict(asked: Callable[[str], OfficialVerdict]) -> None:
    assert asked("sys.exit(0)") == OfficialVerdict("submission_checker_old", True)


def test_a_checker_is_told_tree_and_round(asked: Callable[[str], OfficialVerdict], tmp_path: Path) -> None:
    verdict = asked("import json; print('ERROR:main:' + json.dumps(sys.argv[1:])); sys.exit(1)")
    (finding,) = verdict.findings
    told = json.loads(finding.what)
    assert told == ["--input", str(tmp_path / "tree"), "--version", "v6.1", "--csv", "/dev/null"]
    assert (verdict.accepts, finding.fault) == (False, Fault.UPSTREAM)


def test_a_checker_can_import_pyyaml_and_sees_little_of_this_environment(
    asked: Callable[[str], OfficialVerdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    verdict = asked("import os, yaml; sys.exit('SECRET' in os.environ)")
    assert verdict.accepts, verdict


def test_a_checker_that_never_ends_is_ended(
    asked: Callable[[str], OfficialVerdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "TIME_LIMIT_S", 1)
    verdict = asked("print('ERROR:main:slow', flush=True)\nimport time; time.sleep(60)")
    assert (verdict.accepts, verdict.note) == (False, "it did not end within 1 s")
    assert [each.what for each in verdict.findings] == ["slow"]


def test_a_checkout_that_does_not_know_the_round_is_a_usage_error(tmp_path: Path, rounds: Rounds) -> None:
    (tmp_path / SCRIPT).parent.mkdir(parents=True)
    (tmp_path / SCRIPT).touch()
    found = checkout.find(tmp_path)
    for name, words in (("v6.1", "does not know round v6.1"),):
        with pytest.raises(UsageError, match=words):
            running.verdicts(found, rounds.find(name), running.on_host(found, tmp_path, rounds.find(name)))
