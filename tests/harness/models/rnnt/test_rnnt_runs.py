"""Whole runs of RNN-T through `python -m mlperf_docker.harness`, on every backend."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mlperf_docker.harness.models.rnnt.vocabulary import text
from tests.harness.installed import BACKENDS
from tests.harness.process import Finished, of_model
from tests.tries import in_time

harness = partial(of_model, "rnnt")
COUNT = 24


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rnnt")


def run(cache: Path, tmp_path: Path, *arguments: object, backend: str = "pytorch") -> Finished:
    return harness(cache, tmp_path, "run", "--synthetic", "tiny", *arguments, backend=backend)


def word_errors(answer: list[str], said: list[str]) -> int:
    """The recursive definition, once for each pair of ends."""
    table = np.zeros((len(answer) + 1, len(said) + 1), dtype=int)
    table[:, 0], table[0] = np.arange(len(answer) + 1), np.arange(len(said) + 1)
    for i, a in enumerate(answer):
        for j, b in enumerate(said):
            table[i + 1, j + 1] = min(table[i, j] + (a != b), table[i, j + 1] + 1, table[i + 1, j] + 1)
    return int(table[-1, -1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_rnnts_word_accuracy_reaches_the_known_value_on_every_backend(
    shared: Path, tmp_path: Path, backend: str
) -> None:
    done = run(shared, tmp_path, "--mode", "accuracy", backend=backend)
    accuracy = done.result["accuracy"]
    assert (done.code, accuracy["metric"], accuracy["passed"]) == (0, "100 - WER", True), done
    assert 80 < accuracy["value"] < 100
    # Independently of our own scoring and of the synthetic set's facts.
    data = next(shared.glob("synthetic/rnnt-tiny-*/data"))
    manifest = json.loads((data / "dev-clean-wav.json").read_text())
    said = [each["transcript"].split() for each in manifest if each["original_duration"] <= 15]
    entries = json.loads((tmp_path / "results/mlperf_log_accuracy.json").read_text())
    answers = {each["qsl_idx"]: text(np.frombuffer(bytes.fromhex(each["data"]), np.int64)) for each in entries}
    assert sorted(answers) == list(range(COUNT)) == list(range(len(said)))
    errors = sum(word_errors(answers[number].split(), said[number]) for number in range(COUNT))
    assert errors == COUNT // 4
    assert accuracy["value"] == pytest.approx(100 * (1 - errors / sum(map(len, said))), abs=1e-9)


def test_the_first_utterances_have_an_accuracy_of_their_own(shared: Path, tmp_path: Path) -> None:
    done = run(shared, tmp_path, "--mode", "accuracy", "--samples", 3)
    assert (done.code, done.result["accuracy"]["value"], done.result["samples"]) == (0, 100.0, 3)


@pytest.mark.parametrize("scenario", ["SingleStream", "Server", "Offline"])
def test_rnnt_runs_in_every_scenario(shared: Path, tmp_path: Path, scenario: str) -> None:
    options = ("--scenario", scenario, "--min-duration", 1)
    done = in_time(lambda: run(shared, tmp_path, *options, backend="onnxruntime"), Finished.valid)
    assert (done.code, done.result["reasons"]) == (0, []), done
    if scenario == "Server":
        assert done.result["settings"]["target_latency_ns"] == 1_000_000_000


def test_two_instances_give_the_same_transcripts(shared: Path, tmp_path: Path) -> None:
    done = run(shared, tmp_path, "--mode", "accuracy", "--instances", 2, "--batch-size", 5, backend="onnxruntime")
    assert (done.code, done.result["accuracy"]["passed"]) == (0, True), done


def test_the_harness_by_itself_answers_nothing(shared: Path, tmp_path: Path) -> None:
    options = ("--scenario", "Offline", "--min-duration", 1)
    done = in_time(lambda: run(shared, tmp_path, *options, backend="dummy"), Finished.valid)
    assert (done.code, done.result["reasons"]) == (0, []), done


def test_an_official_offline_run_asks_for_2513_samples(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.conf").write_text("rnnt.Offline.min_duration = 100\nrnnt.Offline.max_query_count = 1\n")
    done = run(shared, tmp_path, "--user-conf", tmp_path / "mine.conf", backend="dummy")
    detail = (tmp_path / "results/mlperf_log_detail.txt").read_text()
    asked = [json.loads(line.removeprefix(":::MLLOG ")) for line in detail.splitlines()]
    assert {"requested_min_query_count", "requested_performance_sample_count_override"} <= {e["key"] for e in asked}
    assert [e["value"] for e in asked if e["key"] == "effective_samples_per_query"] >= [2513], done


def test_three_backends_give_the_same_transcripts(shared: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{backend}.safetensors" for backend in BACKENDS]
    for backend, file in zip(BACKENDS, files, strict=True):
        assert harness(shared, tmp_path, "outputs", "--output", file, "--samples", 8, backend=backend).code == 0
    found = harness(shared, tmp_path, "parity", *files).result
    assert (found["largest_difference"], found["agreement"]) == (0.0, 1.0)


def test_three_graphs_are_not_one_onnx_file(shared: Path, tmp_path: Path) -> None:
    run(shared, tmp_path, "--mode", "accuracy", "--samples", 1)
    weights = next(shared.glob("synthetic/rnnt-tiny-*/weights.safetensors"))
    line = ("--model-file", weights, "--output", tmp_path / "rnnt.onnx")
    done = harness(shared, tmp_path, "convert", *line, backend="onnxruntime")
    assert (done.code, done.error["message"]) == (2, "rnnt is 3 graphs, and a loop around them")
