"""Compliance runs of the harness, against a performance run and an accuracy run of its own."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlperf_docker.contract import detail_log
from mlperf_docker.contract.words import ComplianceTest
from mlperf_docker.harness.samples import accuracy_log
from tests.harness.compliance.runs import CellRuns
from tests.harness.process import Finished
from tests.tries import in_time

TEST01, TEST04, TEST05 = ComplianceTest


@pytest.fixture(scope="module")
def resnet50(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> CellRuns:
    runs = CellRuns("resnet50", cache, tmp_path_factory.mktemp("runs"))
    assert in_time(runs.performance, Finished.valid).valid()
    assert runs.accuracy().valid()
    return runs


@pytest.fixture
def copied(resnet50: CellRuns, tmp_path: Path) -> CellRuns:
    """The same runs in a place where a test may change them."""
    shutil.copytree(resnet50.folder, tmp_path, dirs_exist_ok=True)
    return replace(resnet50, folder=tmp_path)


@pytest.mark.parametrize("test", ComplianceTest)
def test_resnet50_passes(copied: CellRuns, test: ComplianceTest) -> None:
    done = in_time(lambda: copied.compliance(test), Finished.valid)
    verdict = done.result["compliance"]
    assert (done.code, verdict["test"], verdict["passed"], verdict["reasons"]) == (0, test, True, []), done
    folder = copied.folder / test
    names = {path.name for path in folder.iterdir() if path.suffix in (".txt", ".config")}
    logs = {"mlperf_log_summary.txt", "mlperf_log_detail.txt"}
    answers = {"verify_accuracy.txt", "accuracy.txt"} if test is TEST01 else set()
    assert names == {"audit.config", "verify_performance.txt", *answers, *logs}
    assert "TEST PASS" in (folder / "verify_performance.txt").read_text().splitlines()
    assert detail_log.read(folder).values["effective_test_mode"] == "PerformanceOnly"


def test_test01_compares_logged_answers(copied: CellRuns) -> None:
    found = copied.compliance(TEST01).result["compliance"]["accuracy"]
    assert found["compared"] > 64
    assert (found["differing"], found["first_element_differing"], found["unknown"]) == (0, 0, 0)
    assert (found["path"], found["baseline"], found["score"]) == ("first element", None, None)
    folder = copied.folder / TEST01
    assert "TEST PASS" in (folder / "verify_accuracy.txt").read_text().splitlines()
    samples = {each.sample for each in accuracy_log.answers(folder / "mlperf_log_accuracy.json")}
    assert (folder / "accuracy.txt").read_text().endswith(f"total={len(samples)}\n")


def test_a_compliance_run_has_the_settings_of_the_performance_run(copied: CellRuns) -> None:
    ran = json.loads((copied.folder / "performance/result.json").read_text())
    done = copied.compliance(TEST04)
    keys = ("batch_size", "instances", "threads", "target_qps", "min_duration_ms", "min_query_count", "dataset_samples")
    assert [done.result["settings"][key] for key in keys] == [ran["settings"][key] for key in keys]
    confs = [(copied.folder / name / "user.conf").read_text() for name in ("performance", TEST04)]
    assert confs[0] == confs[1]


def test_test05_has_other_seeds(copied: CellRuns) -> None:
    before = json.loads((copied.folder / "performance/result.json").read_text())["seeds"]
    assert not set(copied.compliance(TEST05).result["seeds"].values()) & set(before.values())


def change_answers(log: Path, change: Callable[[int, bytes], bytes]) -> None:
    """Rewrite each answer of an accuracy log: its sample and payload → payload."""
    lines = []
    for line in log.read_text().splitlines():
        comma = "," if line.endswith(",") else ""
        if line.startswith("{"):
            entry = json.loads(line.removesuffix(","))
            entry["data"] = change(entry["qsl_idx"], bytes.fromhex(entry["data"])).hex().upper()
            line = json.dumps(entry) + comma
        lines.append(line)
    log.write_text("\n".join(lines))


def test_another_precision_in_accuracy_mode_fails(copied: CellRuns) -> None:
    """Labels that half precision would decide in another way, far more of them than the level allows."""

    def other_labels(sample: int, data: bytes) -> bytes:
        label = np.frombuffer(data, np.float32)
        return (label + 1).tobytes() if sample % 4 == 0 else data

    change_answers(copied.folder / "accuracy/mlperf_log_accuracy.json", other_labels)
    done = copied.compliance(TEST01)
    found = done.result["compliance"]
    assert (done.code, found["passed"], found["accuracy"]["path"]) == (1, False, "scores")
    assert found["accuracy"]["largest_difference"] == 1.0
    assert found["accuracy"]["baseline"] < 75 < found["accuracy"]["score"]
    reasons = "; ".join(found["reasons"])
    assert "answers begin with another value" in reasons
    assert "the scores differ by" in reasons
    folder = copied.folder / TEST01
    assert "TEST PASS" not in (folder / "verify_accuracy.txt").read_text()
    assert (folder / "baseline_accuracy.txt").read_text().startswith("accuracy=")
    assert (folder / "compliance_accuracy.txt").read_text() == (folder / "accuracy.txt").read_text()
    assert not (folder / "mlperf_log_accuracy_baseline.json").exists()


def test_scores_decide_where_first_values_differ_in_their_last_bits(copied: CellRuns) -> None:
    """As the outputs of a network do, which ResNet50's label is not: here it is rounded to the same label."""
    log = copied.folder / "accuracy/mlperf_log_accuracy.json"
    change_answers(log, lambda _, data: np.nextafter(np.frombuffer(data, np.float32), np.float32(1e4)).tobytes())
    found = copied.compliance(TEST01).result["compliance"]
    answers = found["accuracy"]
    assert answers["first_element_differing"] == answers["differing"] == answers["compared"] > 0
    assert 0 < answers["largest_difference"] < 1e-3
    assert (answers["path"], answers["baseline"], answers["high"]) == ("scores", answers["score"], True)
    assert not [each for each in found["reasons"] if "answers" in each or "scores" in each]
    assert "TEST PASS" not in (copied.folder / TEST01 / "verify_accuracy.txt").read_text()


def test_an_accuracy_run_that_lacks_samples_fails(copied: CellRuns) -> None:
    log = copied.folder / "accuracy/mlperf_log_accuracy.json"
    lines = log.read_text().splitlines()
    log.write_text("\n".join([*lines[:10], lines[10].removesuffix(","), "]"]))
    found = copied.compliance(TEST01).result["compliance"]
    assert not found["passed"]
    assert found["accuracy"]["unknown"] > 0
    assert any("the accuracy run did not answer" in reason for reason in found["reasons"])


def test_an_invalid_performance_run_fails(copied: CellRuns) -> None:
    log = copied.folder / "performance/mlperf_log_detail.txt"
    log.write_text(log.read_text().replace('"value": "VALID"', '"value": "INVALID"'))
    done = copied.compliance(TEST04)
    assert done.code == 1
    assert "the performance run is INVALID" in done.result["reasons"]
    assert (
        "TEST FAIL: the performance run is INVALID" in (copied.folder / TEST04 / "verify_performance.txt").read_text()
    )


def test_a_stray_audit_config_changes_nothing(copied: CellRuns) -> None:
    """In the current folder, where LoadGen looks by default, and in that of the results."""
    (copied.folder / "again").mkdir()
    for folder in (copied.folder, copied.folder / "again"):
        (folder / "audit.config").write_text("*.*.performance_issue_same = 1\n*.*.accuracy_log_sampling_target = 9\n")
    done = copied.run("again", "--min-duration", 0.3, "--target-qps", 100)
    log = detail_log.read(copied.folder / "again")
    assert done.result["compliance"] is None
    assert not [warning for warning in log.warnings if "Audit" in warning]
    assert (log.values["effective_performance_issue_same"], log.values["effective_accuracy_log_sampling_target"]) == (
        False,
        0,
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--compliance", "TEST01"), "TEST01 needs the folder of the performance run: --performance-run"),
        (("--compliance", "TEST01", "--performance-run", "performance"), "the accuracy run too: --accuracy-run"),
        (("--compliance", "TEST04", "--performance-run", "."), "it has no result.json and no mlperf_log_detail.txt"),
        (("--compliance", "TEST04", "--performance-run", "accuracy"), "its mode is accuracy, not performance"),
        (
            ("--compliance", "TEST04", "--performance-run", "performance", "--scenario", "Offline"),
            "its scenario is Server, not Offline",
        ),
        (
            ("--compliance", "TEST04", "--performance-run", "performance", "--min-duration", 7),
            "its min_duration_ms is 1000, not 7000",
        ),
        (
            ("--compliance", "TEST04", "--performance-run", "performance", "--samples", 9),
            "its dataset_samples is 64, not 9",
        ),
        (("--compliance", "TEST04", "--mode", "accuracy"), "exclude each other"),
    ],
)
def test_a_compliance_run_that_cannot_be_is_refused_before_anything_runs(
    copied: CellRuns, options: tuple[object, ...], said: str
) -> None:
    scenario = () if "--scenario" in options else ("--scenario", copied.scenario)
    done = copied.run("refused", *scenario, *options)
    assert done.code == 2, done
    assert said in done.error["message"]
    assert not list((copied.folder / "refused").iterdir())


@pytest.mark.parametrize("damage", ["truncated", "cut off"])
def test_an_accuracy_log_that_is_not_whole_is_refused_before_anything_runs(copied: CellRuns, damage: str) -> None:
    log = copied.folder / "accuracy/mlperf_log_accuracy.json"
    text = log.read_text()
    log.write_text(f"{text[:500]}\n...\n{text[-500:]}" if damage == "truncated" else text[:500])
    done = copied.compliance(TEST01)
    assert done.code == 2
    assert "the answers of the accuracy run cannot be read" in done.error["message"]
    assert not list((copied.folder / TEST01).iterdir())


def test_a_compliance_run_is_no_reference(copied: CellRuns) -> None:
    copied.compliance(TEST04)
    options = ("--scenario", copied.scenario, "--compliance", "TEST04")
    done = copied.run("refused", *options, "--performance-run", copied.folder / TEST04)
    assert done.code == 2
    assert "is a compliance run itself" in done.error["message"]
