"""rounds.yaml loads completely, and whatever can be wrong with it is reported with its line."""

from pathlib import Path

import pytest

from mlperf_docker.catalog.checked_yaml import FileProblemsError
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import UnknownNameError
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.words import ComplianceTest, Scenario
from mlperf_docker.rounds.loading import NotInRoundError, Rounds, load
from mlperf_docker.rounds.round import Round
from mlperf_docker.rounds.words import Division, Suite
from mlperf_docker.system.paths import assets

ROUNDS = load()
TEXT = (assets() / "rounds.yaml").read_text()
MODELS = {model.name: model for model in Catalog.load().models}


def read(text: str, folder: Path) -> Rounds:
    path = folder / "rounds.yaml"
    path.write_text(text)
    return load(path)


def problems(text: str, folder: Path) -> dict[int, list[str]]:
    """Line → messages of what is wrong with *text*."""
    with pytest.raises(FileProblemsError) as caught:
        read(text, folder)
    found: dict[int, list[str]] = {}
    for problem in caught.value.problems:
        found.setdefault(problem.line, []).append(problem.message)
    return found


def line_of(part: str, text: str = TEXT) -> int:
    assert text.count(part) == 1, part
    return text[: text.index(part)].count("\n") + 1


def changed(*changes: tuple[str, str]) -> str:
    """The tool's own rounds.yaml with *changes*, each of a text that occurs once."""
    text = TEXT
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_rounds_are_known_from_the_oldest_to_the_newest() -> None:
    assert ROUNDS.names == ("v4.0", "v4.1", "v5.0", "v5.1", "v6.0", "v6.1")
    assert ROUNDS.newest is ROUNDS.find("v6.1") is ROUNDS.find("6.1") is ROUNDS.find("V6.1")


def test_an_unknown_round_is_refused_with_the_nearest_and_all() -> None:
    with pytest.raises(UnknownNameError, match=r"'v6.2'.*Did you mean v6\.[01]\?.*v4.0, v4.1") as caught:
        ROUNDS.find("v6.2")
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("round_", ROUNDS.all, ids=lambda each: each.name)
def test_a_benchmark_of_a_round_is_of_a_known_model_and_its_targets_are_those_of_the_catalog(round_: Round) -> None:
    for benchmark in round_.benchmarks:
        if benchmark.model is None:
            assert benchmark.name.startswith("dlrm-v2-")
            continue
        model = MODELS[benchmark.model]
        assert benchmark.dataset_size == model.dataset.count
        for target, score in zip(benchmark.targets, model.accuracy, strict=True):
            assert (target.score, target.reference) == (score.metric, score.reference)
            assert target.value == pytest.approx(score.high_target if benchmark.high else score.target, rel=1e-12)


def test_a_round_inherits_what_it_does_not_say() -> None:
    old, new = ROUNDS.find("v5.0"), ROUNDS.newest
    assert old.seeds != new.seeds
    assert old.system_keys == new.system_keys
    assert (len(new.system_keys), len(new.filled_system_keys)) == (35, 26)
    assert old.benchmark("3d-unet-99.9") == new.benchmark("3d-unet-99.9")
    assert (old.layout.source, new.layout.source) == ("code", "src")
    assert ComplianceTest.TEST05 in ROUNDS.find("v4.1").benchmarks[0].tests
    assert all(ComplianceTest.TEST05 not in each.tests for each in old.benchmarks)


def test_a_model_is_known_by_its_benchmarks_and_by_its_last_round() -> None:
    assert [each.name for each in ROUNDS.newest.benchmarks_of("bert")] == ["bert-99", "bert-99.9"]
    assert [each.high for each in ROUNDS.newest.benchmarks_of("bert")] == [False, True]
    last = {model: ROUNDS.last_of(model) for model in MODELS}
    assert last == {
        "resnet50": "v6.1",
        "retinanet": "v6.0",
        "bert": "v6.1",
        "3d-unet": "v6.1",
        "rnnt": "v4.0",
        "dlrm": "v3.0",
    }
    error = NotInRoundError(ROUNDS, ROUNDS.newest, "dlrm")
    assert "Its last round was v3.0" in str(error)
    assert "resnet50, bert, 3d-unet" in str(error.hint)


def test_scenarios_follow_the_type_of_system() -> None:
    resnet = ROUNDS.newest.benchmark("resnet50")
    assert resnet is not None
    assert resnet.name == "resnet"
    assert resnet.required(Suite.EDGE) == (Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM, Scenario.OFFLINE)
    assert resnet.required(Suite.DATACENTER) == ()
    assert set(resnet.scenarios) == set(resnet.required(Suite.BOTH)) == set(Scenario)
    retinanet = ROUNDS.find("v6.0").benchmark("retinanet")
    assert retinanet is not None
    assert retinanet.divisions == (Division.OPEN,)
    assert not retinanet.is_closed


def test_versions_of_loadgen_have_the_seeds_of_one_round() -> None:
    newest = ROUNDS.newest
    assert newest.has_loadgen("6.0.17")
    for version in ("5.0.8", "5.0.9", "5.0.21", "5.0.22", "5.1.2", "6.0.4", "6.0.5", "6.0.15", "6.0.16"):
        found = [each.name for each in ROUNDS.all if each.has_loadgen(version)]
        assert len(found) == (version != "5.0.8"), version


def test_every_problem_of_the_rounds_is_told_once_at_its_line(tmp_path: Path) -> None:
    text = changed(
        ("performance_sample_count: 64", "performance_sample_count: many"),
        ("layout: separate-with-mlperf-conf", "layout: flat"),
        ("like: v5.1", "like: v5.9"),
        ('loadgen: ">=5.0.9,<=5.0.21"', "loadgen: newest"),
    )
    found = problems(text, tmp_path)
    assert "performance_sample_count: input should be a valid integer" in found[line_of("many", text)][0]
    assert "layout: input should be" in found[line_of("layout: flat", text)][0]
    assert found[line_of("like: v5.9", text)] == ["rounds.v6.0.like: no entry above is called 'v5.9'"]
    assert "not a range of versions" in found[line_of("loadgen: newest", text)][0]
    assert {line: len(messages) for line, messages in found.items()} == dict.fromkeys(found, 1)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file must be a mapping with the keys last_rounds, layouts, benchmarks, rounds"),
        ("[]", "the file must be a mapping"),
        ("rounds: {}", "benchmarks: missing key"),
        ("{last_rounds: {}, layouts: {}, benchmarks: {}, rounds: {v1: {}}}", "not a round: write for example v6.1"),
        ("{last_rounds: {}, layouts: {}, benchmarks: {}, rounds: []}", "rounds: must be a mapping"),
        ("{last_rounds: {}, layouts: {}, benchmarks: {}, rounds: {v6.1: {like: [1]}}}", "no entry above is called"),
        ("{last_rounds: {}, layouts: {}, benchmarks: {}, rounds: {v6.1: null}}", "rounds.v6.1: must be a mapping"),
    ],
)
def test_a_file_of_another_kind_is_refused_as_rounds(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileProblemsError) as caught:
        read(text, tmp_path)
    assert message in str(caught.value)
    assert "table of rounds" in str(caught.value)
