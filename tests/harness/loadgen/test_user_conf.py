"""The user's own user.conf: what LoadGen would skip, truncate or stumble over is an error that names the line."""

from pathlib import Path

import mlperf_loadgen
import pytest

from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.loadgen import user_conf
from tests.fixtures.odd_files import ODD_FILES
from tests.harness.process import Harness


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.conf"
    path.write_text(text)
    return path


def problems(tmp_path: Path, text: str, scenario: Scenario = Scenario.OFFLINE, *given: str) -> list[str]:
    """What is said of a file in a run of resnet50, a line each; nothing where it is right."""
    try:
        user_conf.read(written(tmp_path, text)).check("resnet50", scenario, frozenset(given))
    except UsageError as error:
        return [str(error).partition("my.conf, ")[2], *error.details]
    return []


def test_a_file_that_is_right(tmp_path: Path) -> None:
    text = (
        "\ufeff# all models\r\n*.*.min_duration = 60000 # a minute\r\n\r\n"
        "resnet50.Offline.target_qps = 1e3\nresnet50.SingleStream.target_latency = 0.5\n"
        "bert.Server.target_latency = 99.5\nwan-2.2-t2v-a14b.Offline.anything = at_all\n*.*.target_latency = 2.5\n"
    )
    assert problems(tmp_path, text) == []
    conf = user_conf.read(written(tmp_path, text))
    assert conf.settings("resnet50", Scenario.OFFLINE) == {
        "*.*.min_duration": "60000",
        "resnet50.Offline.target_qps": "1e3",
        "*.*.target_latency": "2.5",
    }
    assert conf.text.splitlines()[:2] == ["*.*.min_duration = 60000", "resnet50.Offline.target_qps = 1e3"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("resnet50.Offline.target_qps=5", "'resnet50.Offline.target_qps=5' is no setting"),
        ("resnet50.Offline.target_qps = 5 6", "is no setting"),
        ("target_qps = 5", "is no setting"),
        ("#resnet50.Offline.target_qps = 5", "the # of a comment must stand by itself"),
        ("resnet50.Offline.target_qps = 5 #five", "the # of a comment must stand by itself"),
        ("resnet50.Offline.\x1b[31m = 5", "is no setting"),
        ("resnet50.Offline.target_qp = 5", "there is no key target_qp; did you mean target_qps?"),
        ("bert-99.Offline.target_qps = 5", "mlperf.conf has no model bert-99; did you mean bert?"),
        ("resnet.Offline.target_qps = 5", "mlperf.conf has no model resnet; did you mean resnet50?"),
        ("resnet50.offline.target_qps = 5", "there is no scenario offline; did you mean Offline?"),
        ("resnet50.SingleStream.target_qps = 5", "target_qps means nothing in SingleStream"),
        ("resnet50.*.mode = 1", "mode is what --mode says"),
        ("*.*.performance_issue_same = 1", "performance_issue_same is for the audits"),
        ("*.*.accuracy_sample_count_override = 9", "use --samples"),
        ("*.*.qsl_rng_seed = 9", "qsl_rng_seed comes from mlperf.conf"),
        ("resnet50.Offline.sample_concatenate_permutation = yes", "must be 0 or 1 in Offline, not yes"),
        ("resnet50.MultiStream.samples_per_query = 0", "must be at least 1 in MultiStream, not 0"),
        ("resnet50.MultiStream.target_latency_percentile = 101", "must be a percentage above 0, up to 100"),
        ("resnet50.Server.target_latency = 2.5", "must be a whole number"),
        *[
            (f"resnet50.Offline.target_qps = {value}", "must be a number above 0, up to 1e12 in Offline")
            for value in ("0", "-1", "nan", "inf", "1e300", "1_000", "fast")
        ],
        *[
            (f"resnet50.Offline.min_duration = {value}", "must be a whole number")
            for value in ("1.5e3", "-1", "2.5", "1_000", "99999999999999999999", "9" * 5000)
        ],
    ],
)
def test_lines_that_would_do_something_else(tmp_path: Path, line: str, problem: str) -> None:
    (said,) = problems(tmp_path, f"# mine\n\n{line}\n")
    assert said.startswith("line 3: ")
    assert problem in said
    assert len(said) < 200


def test_every_wrong_line_is_named(tmp_path: Path) -> None:
    text = "a.Offline.target_qps = 5\nresnet50.Offline.x = 5\n*.Offline.target_qps = 5\n*.Offline.target_qps = 6\n"
    said = problems(tmp_path, text, Scenario.OFFLINE, "target_qps")
    assert [each[:7] for each in said] == ["line 1:", "line 2:", "line 3:", "line 4:", "line 4:"]
    assert said[2] == "line 3: target_qps is set by --target-qps too"
    assert said[3] == "line 4: *.Offline.target_qps is set twice, in line 3 too"


def test_options_clash_only_with_what_the_run_reads(tmp_path: Path) -> None:
    assert problems(tmp_path, "resnet50.Server.target_qps = 5\n", Scenario.OFFLINE, "target_qps") == []
    assert problems(tmp_path, "resnet50.Server.target_qps = 5\n", Scenario.SERVER, "min_duration") == []
    assert problems(tmp_path, "bert.Server.target_qps = 5\n", Scenario.SERVER, "target_qps") == []


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "endless", "large", "binary"])
def test_a_user_conf_must_be_a_small_text_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "my.conf"
    ODD_FILES[kind](path)
    with pytest.raises(UsageError, match=r"cannot read .*my\.conf: "):
        user_conf.read(path)


def test_the_names_of_models_are_those_that_loadgen_has() -> None:
    content = Path(mlperf_loadgen.__file__).read_bytes()
    for model in user_conf.MODELS:
        assert f"\n{model}.".encode() in content, model


def test_keys_that_the_closed_division_has_rules_for(tmp_path: Path) -> None:
    text = "*.*.target_latency = 3\n*.*.min_duration = 5\n*.*.target_latency_percentile = 50\n"
    conf = user_conf.read(written(tmp_path, text))
    assert conf.open_only("resnet50", Scenario.SERVER) == ["target_latency", "target_latency_percentile"]
    assert conf.open_only("resnet50", Scenario.SINGLE_STREAM) == ["target_latency_percentile"]


def test_a_run_goes_by_it_and_says_so(harness: Harness, tmp_path: Path) -> None:
    text = "*.Offline.target_qps = 4000000\nresnet50.*.min_duration = 100\n*.*.performance_sample_count_override = 7\n"
    done = harness("--synthetic", "tiny", "--user-conf", written(tmp_path, text), backend="dummy")
    settings = done.result["settings"]
    assert settings["user_conf"]["*.Offline.target_qps"] == "4000000"
    found = [settings[key] for key in ("target_qps", "min_duration_ms", "performance_sample_count")]
    assert found == [4_000_000, 100, 7]
    assert settings["open_only"] == ["performance_sample_count_override"]


def test_a_wrong_line_ends_a_run_before_any_work(harness: Harness, tmp_path: Path) -> None:
    path = written(tmp_path, "resnet50.Offline.target_qps=5\n")
    done = harness("--synthetic", "tiny", "--user-conf", path)
    assert (done.code, done.of("phase")) == (2, [])
    assert done.error["message"] == f"{path}, line 1: 'resnet50.Offline.target_qps=5' is no setting"
