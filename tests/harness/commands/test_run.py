"""Whole runs through `python -m mlperf_docker.harness`, without Docker."""

import dataclasses
import json
import re
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlperf_docker.contract import places
from mlperf_docker.contract.cell import Cell, OfficialFile
from mlperf_docker.contract.commands import OutputsCommand
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.scores import Sense, Target
from mlperf_docker.contract.words import Mode, ModelFormat, Precision, Scenario
from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.models.resnet50 import network as networks
from mlperf_docker.harness.ops.onnx import serialize
from mlperf_docker.harness.weights import safetensors
from tests.harness.process import Finished, Harness, command, environment
from tests.tries import in_time

SCENARIOS = [scenario.value for scenario in Scenario]
PHASES = ["synthesize", "preprocess", "load-model", "prove-device", "calibrate", "loadgen"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_dummy_performance_run_is_valid(harness: Harness, scenario: str) -> None:
    # Offline is over in half a microsecond a sample.
    duration, rate = (0.2, 4_000_000) if scenario == "Offline" else (1, 1000)
    load = ("--min-duration", duration, "--target-qps", rate)
    options = ("--synthetic", "tiny", "--scenario", scenario, *load)
    done = in_time(lambda: harness(*options, backend="dummy"), Finished.valid)
    result = done.result
    assert (done.code, result["valid"], result["reasons"]) == (0, True, []), done
    assert [event["name"] for event in done.of("phase")] == PHASES
    assert result["metric"]["value"] > 0
    assert result["latency_ns"]["p99"] >= result["latency_ns"]["p50"] > 0
    assert result["settings"]["min_duration_ms"] == duration * 1000


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_dummy_accuracy_run_misses_the_known_value(harness: Harness, scenario: str) -> None:
    done = harness("--synthetic", "tiny", "--scenario", scenario, "--mode", "accuracy", backend="dummy")
    assert done.code == 1
    assert done.result["accuracy"]["target"] == 87.5
    assert not done.result["accuracy"]["passed"]
    assert "is not the target 87.500" in done.result["reasons"][0]


def test_a_performance_run_is_valid_and_names_its_figure(harness: Harness, tmp_path: Path) -> None:
    done = in_time(lambda: harness("--synthetic", "tiny", "--min-duration", 2), Finished.valid)
    result = done.result
    assert done.code == 0, result["reasons"]
    assert result["metric"]["name"] == "result_samples_per_second"
    assert result["device_proof"]["provider"] == "CPUExecutionProvider"
    assert result["device_proof"]["operators"]["CPUExecutionProvider"] > 10
    assert result["synthetic"] is True
    assert set(result["versions"]) == {"python", "loadgen", "numpy", "onnxruntime"}
    assert result["loadgen_errors"] == []
    written = json.loads((tmp_path / "results/result.json").read_text())
    assert written == {key: value for key, value in result.items() if key != "event"}
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert names == {
        "result.json",
        "user.conf",
        *(f"mlperf_log_{name}" for name in ("summary.txt", "detail.txt", "accuracy.json", "trace.json")),
    }


def test_a_starter_that_waits_keeps_the_result_itself(cache: Path, tiny: SyntheticSet, tmp_path: Path) -> None:
    """Else one that is killed before it adds what only it knows would leave half a result."""
    results = tmp_path / "results"
    results.mkdir()
    folders = ("--cache", cache, "--results", results)
    words = ("--model", "resnet50", "--backend", "dummy", "--synthetic", "tiny", "--mode", "accuracy")
    line = command("run", *words, *folders)
    held = {**environment(), places.LIFELINE_VARIABLE: "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True, env=held, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert '"event": "result"' in process.stdout.readlines()[-1]
    assert (results / "mlperf_log_detail.txt").is_file()
    assert not (results / "result.json").exists()


def test_a_short_run_of_a_round_has_its_seeds_and_its_count(harness: Harness, tmp_path: Path) -> None:
    seeds = {"qsl_rng_seed": 1, "sample_index_rng_seed": 2**64 - 1, "schedule_rng_seed": 3}
    given = [word for name, seed in seeds.items() for word in (f"--{name.replace('_', '-')}", seed)]
    load = ("--min-duration", 0.1, "--target-qps", 10)
    done = harness("--synthetic", "tiny", *load, "--min-query-count", 24576, *given, backend="dummy")
    assert done.result["seeds"] == seeds
    assert (done.result["samples"], done.result["settings"]["min_query_count"]) == (24576, 24576)
    assert (tmp_path / "results/mlperf_log_trace.json").stat().st_size == 0


def test_a_server_run_that_drowns_ends_early_and_is_invalid(harness: Harness) -> None:
    """Ten times the queries that any processor answers in time, for a minute: without the limit for several."""
    load = ("--scenario", "Server", "--min-duration", 60, "--target-qps", 100_000, "--batch-size", 8)
    done = harness("--synthetic", "tiny", *load, "--most-waiting", 4)
    assert (done.code, done.result["valid"]) == (1, False)
    assert any("Too many outstanding queries" in reason for reason in done.result["reasons"])
    assert done.result["samples"] < 60 * 100_000 / 4


def test_the_trace_log_is_written_if_it_is_wanted(harness: Harness, tmp_path: Path) -> None:
    load = ("--scenario", "SingleStream", "--min-duration", 0.1)
    done = harness("--synthetic", "tiny", *load, "--trace", backend="dummy")
    assert done.result["samples"] > 0
    trace = (tmp_path / "results/mlperf_log_trace.json").read_text()
    assert trace.count('"name":"Sample"') >= done.result["samples"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_resnet50s_top_1_meets_the_known_value(harness: Harness, tmp_path: Path, scenario: str) -> None:
    done = harness("--synthetic", "tiny", "--mode", "accuracy", "--scenario", scenario, "--target-qps", 200)
    assert done.code == 0, done
    accuracy = done.result["accuracy"]
    assert [accuracy[key] for key in ("metric", "value", "target", "passed")] == ["top-1", 87.5, 87.5, True]
    (score,) = accuracy["scores"]
    assert score == {
        "metric": "top-1",
        "value": 87.5,
        "unit": "",
        "sense": "exactly",
        "target": 87.5,
        "passed": True,
        "reference": None,
        "high_target": None,
        "high": None,
    }
    assert done.result["samples"] == 64
    assert (tmp_path / "results/accuracy.txt").read_text() == "accuracy=87.500%, good=56, total=64\n"


def test_part_of_the_set_has_a_known_value_too(harness: Harness) -> None:
    done = harness("--synthetic", "tiny", "--mode", "accuracy", "--samples", 20)
    assert done.code == 0
    assert done.result["accuracy"]["value"] == pytest.approx(90.0)


def test_instances_and_odd_batches_give_the_same_answers(harness: Harness) -> None:
    done = harness(
        "--synthetic", "tiny", "--mode", "accuracy", "--instances", 2, "--threads-per-instance", 1, "--batch-size", 7
    )
    assert done.code == 0
    assert (done.result["settings"]["instances"], done.result["settings"]["threads"]) == (2, 1)


def test_instances_share_a_query_of_many_batches(harness: Harness) -> None:
    """So many that instances begin to take batches while others still start."""
    load = ("--batch-size", 1, "--min-duration", 0.1, "--target-qps", 1_000_000)
    done = harness("--synthetic", "tiny", "--instances", 4, *load, backend="dummy")
    result = done.result
    shares = result["settings"]["samples_by_instance"]
    assert result["reasons"] == [], done.stderr
    assert (len(shares), sum(shares), min(shares) > 0) == (4, result["samples"], True)


def test_an_instance_without_work_makes_a_run_invalid(harness: Harness) -> None:
    done = harness("--synthetic", "tiny", "--instances", 3, "--samples", 2, "--mode", "accuracy")
    assert (done.code, done.result["valid"]) == (1, False)
    assert done.result["accuracy"]["passed"]
    assert "of 3 instances, number 3 answered no sample" in done.result["reasons"][0]


@pytest.mark.parametrize(("mode", "issued"), [(Mode.PERFORMANCE, 40), (Mode.ACCURACY, 32)])
def test_samples_without_an_answer_make_a_run_invalid(tmp_path: Path, mode: Mode, issued: int) -> None:
    from mlperf_docker.contract import detail_log
    from mlperf_docker.harness.api.scores import Accuracy, JudgedScore
    from mlperf_docker.harness.commands import result
    from mlperf_docker.harness.commands.options import LoadgenRun

    options = LoadgenRun(
        cell=Cell("resnet50", "onnxruntime", Device.CPU, "resnet50"), scenario=Scenario.MULTI_STREAM, mode=mode
    )
    log = {"result_validity": "VALID", "result_query_count": 5, "effective_samples_per_query": 8}
    accuracy = Accuracy((JudgedScore("top-1", 80.0, target=76.0),))
    parts: dict[str, Any] = {"dataset_count": 32, "proof": {}, "settings": {}, "model_file": None, "variant": ""}
    some, all_ = (
        result.Findings(detail_log.DetailLog(log, ()), by_instance=(answered,), accuracy=accuracy, **parts)
        for answered in (issued - 1, issued)
    )
    assert result.is_valid(options, all_)
    assert not result.is_valid(options, some)
    assert result.reasons(options, some) == [f"only {issued - 1} of {issued} samples were answered"]


def test_labels_of_other_images_are_noticed(harness: Harness, tiny: SyntheticSet, tmp_path: Path) -> None:
    """The data set's own labels, shifted by one image: what a wrong order of answers would look like."""
    names, labels = zip(*(line.split() for line in (tiny.data / "val_map.txt").read_text().splitlines()), strict=True)
    root = tmp_path / "data"
    root.mkdir()
    for name in names:
        (root / name).symlink_to(tiny.data / name)
    shifted = [*labels[1:], labels[0]]
    lines = [f"{name} {label}" for name, label in zip(names, shifted, strict=True)]
    (root / "val_map.txt").write_text("\n".join(lines))
    done = harness("--data", root, "--model-file", tiny.weights, "--mode", "accuracy")
    assert done.result["accuracy"]["value"] < 40


def graph(made: SyntheticSet) -> bytes:
    """An .onnx file with the official interface."""
    return serialize(networks.checked(safetensors.read(made.weights), str(made.weights)))


def test_an_official_graph_runs_as_it_is(harness: Harness, tiny: SyntheticSet, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    data = graph(tiny)
    (models / "resnet50_v1.onnx").write_bytes(data)
    done = harness("--data", tiny.data, "--models", models, "--cell", cell(tmp_path, data), "--mode", "accuracy")
    assert done.result["accuracy"]["value"] == 87.5
    accuracy = done.result["accuracy"]
    assert (accuracy["target"], accuracy["passed"], accuracy["sense"]) == (75.6954, True, "at least")
    assert (accuracy["high_target"], accuracy["high"], accuracy["reference"]) == (90.0, False, 76.46)
    assert done.result["model_file"]["official"] is True
    assert done.code == 0


def cell(tmp_path: Path, data: bytes) -> Path:
    import hashlib

    path = tmp_path / "cell.json"
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    files = (OfficialFile("resnet50_v1.onnx", Precision.FP32, ModelFormat.ONNX, md5=md5),)
    score = Target("top-1", "%", 76.46, Sense.AT_LEAST, 75.6954, high_target=90.0)
    made = Cell("resnet50", "onnxruntime", Device.CPU, "resnet50", accuracy=(score,), files=files)
    path.write_text(made.to_json())
    return path


def overflowing(made: SyntheticSet, tmp_path: Path) -> Path:
    """The weights, large enough for logits to overflow."""
    path = tmp_path / "large.safetensors"
    arrays = safetensors.read(made.weights)
    safetensors.write(path, {**arrays, "fc.weight": np.full_like(arrays["fc.weight"], 3e38)})
    return path


@pytest.mark.parametrize("scenario", ["SingleStream", "Server", "Offline"])
def test_logits_that_are_not_finite_make_a_run_invalid(
    harness: Harness, tiny: SyntheticSet, tmp_path: Path, scenario: str
) -> None:
    """ResNet50 answers with a label alone, which does not show it."""
    file = ("--data", tiny.data, "--model-file", overflowing(tiny, tmp_path))
    done = harness(*file, "--scenario", scenario, "--min-duration", 0.2, "--target-qps", 500)
    assert (done.code, done.result["valid"]) == (1, False)
    assert re.match(r"output logits:0 of sample \d+ is not finite: (inf|nan): ", done.result["reasons"][0])


def test_an_accuracy_run_without_finite_outputs_has_no_score(
    harness: Harness, tiny: SyntheticSet, tmp_path: Path
) -> None:
    done = harness("--data", tiny.data, "--model-file", overflowing(tiny, tmp_path), "--mode", "accuracy")
    assert (done.code, done.result["valid"], done.result["accuracy"]) == (1, False, None)
    assert done.result["reasons"][0].startswith("output logits:0 of sample ")


def test_an_official_graph_shows_it_by_its_probabilities(harness: Harness, tiny: SyntheticSet, tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    large = safetensors.read(overflowing(tiny, tmp_path))
    path.write_bytes(serialize(networks.checked(large, "large")))
    done = harness("--data", tiny.data, "--model-file", path, "--min-duration", 0.2)
    assert done.code == 1
    assert "output softmax_tensor:0 of sample" in done.result["reasons"][0]


def test_a_wrong_checksum_ends_with_7(harness: Harness, tiny: SyntheticSet, tmp_path: Path) -> None:
    (tmp_path / "resnet50_v1.onnx").write_bytes(b"something else")
    done = harness("--data", tiny.data, "--models", tmp_path, "--cell", cell(tmp_path, b"the real one"))
    assert done.code == 7
    assert "wrong checksum" in done.error["message"]
    assert "14 bytes" in done.error["details"][1]


def test_a_missing_model_file_ends_with_7(harness: Harness, tiny: SyntheticSet, tmp_path: Path) -> None:
    done = harness("--data", tiny.data, "--models", tmp_path, "--cell", cell(tmp_path, b""))
    assert (done.code, "is not in" in done.error["message"]) == (7, True)
    assert harness("--data", tiny.data, "--model-file", tmp_path / "none.onnx").code == 7


@pytest.mark.parametrize(("keep", "size"), [(0, 0), (3000, 3000)])
def test_a_cut_model_file_ends_with_7(
    harness: Harness, tiny: SyntheticSet, tmp_path: Path, keep: int, size: int
) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(graph(tiny)[:keep])
    done = harness("--data", tiny.data, "--model-file", path)
    assert done.code == 7
    assert ("empty" if size == 0 else f"{size} bytes") in done.error["message"]


def test_another_interface_ends_with_7_and_says_what_differs(
    harness: Harness, tiny: SyntheticSet, tmp_path: Path
) -> None:
    from mlperf_docker.harness.api.interface import Tensor
    from mlperf_docker.harness.ops.onnx import OnnxOps

    ops = OnnxOps()
    value = ops.softmax("data")
    outputs = ((value, Tensor("ArgMax:0", "float32", (None, 5))),)
    path = tmp_path / "other.onnx"
    path.write_bytes(ops.model("other", (Tensor("data", "float32", (None, 5)),), outputs))
    done = harness("--data", tiny.data, "--model-file", path)
    assert done.code == 7
    assert done.error["details"] == [
        "input input_tensor:0 float32 [N, 3, 224, 224] is missing",
        "input data float32 [N, 5] is not expected",
        "output ArgMax:0 should be ArgMax:0 int64 [N], is ArgMax:0 float32 [N, 5]",
        "outputs of the file: ArgMax:0",
    ]


def test_cuda_without_one_ends_with_8_before_any_work(harness: Harness) -> None:
    done = harness("--device", "cuda", "--synthetic", "tiny")
    assert done.code == 8
    assert done.of("phase") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model", "resnet5"],
        ["--backend", "onnxruntim"],
        ["--precision", "fp8"],
        ["--user-conf", "/nowhere/user.conf"],
        ["--scenario", "SingleStream", "--instances", "2"],
        ["--results", "/nowhere"],
        ["--cell", "/nowhere/cell.json"],
        *[["--min-duration", text] for text in ("nan", "inf", "-1", "0", "1e300")],
        *[["--target-qps", text] for text in ("nan", "inf", "-1", "0", "1e300")],
        *[[option, "99999999999999999999"] for option in ("--samples", "--batch-size", "--instances")],
        ["--scenario", "Server", "--target-latency", "99999999999999999999"],
    ],
)
def test_usage_errors_end_with_2(harness: Harness, arguments: list[str]) -> None:
    done = harness("--synthetic", "tiny", *arguments)
    assert done.code == 2
    assert done.error["exit_code"] == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--target-qps", 1e9, "--min-duration", 100], "a query of 1.1e+11 samples needs"),
        (["--target-qps", 1e9, "--min-duration", 100, "--scenario", "Server"], "the 1e+11 queries of this run need"),
        (["--min-duration", 1e8, "--scenario", "SingleStream"], "queries of this run need"),
        (["--min-duration", 1e8, "--scenario", "MultiStream"], "queries of this run need"),
        (["--batch-size", 1_000_000_000], "a batch of 1000000000, with its answers, needs"),
        (["--batch-size", 1_000_000_000, "--scenario", "Server"], "a batch of 1000000000, with its answers, needs"),
    ],
)
def test_samples_that_memory_cannot_hold_end_with_2_beforehand(
    harness: Harness, arguments: list[object], what: str
) -> None:
    done = harness("--synthetic", "tiny", *arguments, backend="dummy")
    assert done.code == 2
    assert re.search(rf"{re.escape(what)} \S+ GB of memory; \S+ GB are free$", done.error["message"])
    assert "Use a smaller" in done.error["hint"]
    assert "loadgen" not in [event["name"] for event in done.of("phase")]


def test_threads_that_cannot_be_started_end_with_2_beforehand(harness: Harness) -> None:
    done = harness("--synthetic", "tiny", "--instances", 100, "--threads-per-instance", 10_000_000, backend="dummy")
    assert done.code == 2
    assert "100 instances of 10000000 operator threads need 1000000300 threads" in done.error["message"]


def test_more_samples_than_there_are_is_said(harness: Harness) -> None:
    done = harness("--synthetic", "tiny", "--samples", 1000, "--mode", "accuracy")
    assert (done.code, done.result["samples"]) == (0, 64)
    assert "--samples 1000: there are 64, and all are used." in [event["message"] for event in done.of("notice")]


def test_a_results_folder_serves_one_run_at_a_time(harness: Harness, tmp_path: Path) -> None:
    from mlperf_docker.harness.commands.folders import claimed

    with claimed(tmp_path / "results"):
        done = harness("--synthetic", "tiny", backend="dummy")
    assert (done.code, "in use by another run" in done.error["message"]) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_loadgen_ends_with_130(cache: Path, tiny: SyntheticSet, tmp_path: Path, number: int) -> None:
    options = ["--synthetic", "tiny", "--scenario", "Server", "--cache", cache, "--results", tmp_path]
    line = command("run", "--model", "resnet50", "--backend", "onnxruntime", *options)
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None
        while json.loads(process.stdout.readline()).get("name") != "loadgen":
            pass
        time.sleep(0.5)
        process.send_signal(number)
        sent = time.monotonic()
        events = [json.loads(text) for text in process.stdout]
        process.wait(timeout=30)
    assert time.monotonic() - sent < 5
    assert process.returncode == 130
    assert events[-1]["event"] == "error"
    assert (tmp_path / "mlperf_log_detail.txt").exists()


def test_help_and_version_are_quick() -> None:
    for option in ("--help", "--version"):
        assert in_time(partial(seconds, option), lambda taken: taken < 2) < 2


def seconds(option: str) -> float:
    start = time.monotonic()
    subprocess.run(command(option), check=True, capture_output=True, env=environment(), timeout=30)
    return time.monotonic() - start


def test_synthesize_and_convert(harness: Harness, tiny: SyntheticSet, tmp_path: Path) -> None:
    made = harness("--synthetic", "tiny", verb="synthesize")
    assert made.result["accuracy"] == {"good": 56, "total": 64, "percent": 87.5}
    assert made.result["distinct"] > 16
    folder = ["--model-file", tiny.weights, "--output"]
    converted = harness(*folder, tmp_path / "resnet50.onnx", verb="convert")
    assert (tmp_path / "resnet50.onnx").stat().st_size == converted.result["size_bytes"]
    same = harness("--data", tiny.data, "--model-file", tmp_path / "resnet50.onnx", "--mode", "accuracy")
    assert same.result["accuracy"]["value"] == 87.5
    assert same.result["model_file"]["variant"] == "official ONNX graph"
    wrong = harness(*folder, tmp_path / "resnet50.txt", verb="convert")
    assert (wrong.code, list(tmp_path.glob("*.txt"))) == (2, [])


@pytest.mark.parametrize(
    ("scenario", "instances", "threads"),
    [(Scenario.OFFLINE, 1, 8), (Scenario.OFFLINE, 3, 2), (Scenario.SERVER, 1, 7), (Scenario.SERVER, 4, 1)],
)
def test_server_leaves_a_processor_to_loadgen(scenario: Scenario, instances: int, threads: int) -> None:
    from mlperf_docker.harness.commands.loading import operator_threads
    from mlperf_docker.harness.commands.options import LoadgenRun

    cell = Cell("resnet50", "onnxruntime", Device.CPU, "resnet50")
    options = LoadgenRun(cell=cell, scenario=scenario, mode=Mode.PERFORMANCE, instances=instances)
    assert operator_threads(options, 8) == threads
    assert operator_threads(options, 1) == 1


def test_outputs_are_what_parity_compares(harness: Harness, tmp_path: Path) -> None:
    """Not the label that a run fetches, but the logits behind it."""
    file = tmp_path / "outputs.safetensors"
    done = harness("--synthetic", "tiny", "--samples", 6, "--output", file, verb="outputs")
    assert done.code == 0, done.events
    assert {name: array.shape for name, array in safetensors.read(file).items()} == {"logits:0": (6, 1001)}


@pytest.mark.parametrize(
    ("name", "said"),
    [("none/x.onnx", "there is no folder"), ("f.onnx", "is a folder"), ("w/x.onnx", "no folder"), ("x" * 300, "long")],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_work(
    harness: Harness, tiny: SyntheticSet, tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "f.onnx").mkdir()
    (tmp_path / "w").write_text("a file")
    output = ("--output", tmp_path / name)
    for done in (
        harness("--model-file", tiny.weights, *output, verb="convert"),
        harness("--synthetic", "tiny", *output, verb="outputs"),
    ):
        assert (done.code, len(done.events)) == (2, 1), done
        assert said in done.error["message"]


def test_outputs_that_are_not_finite_are_none_to_compare(
    cache: Path, tiny: SyntheticSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlperf_docker.harness.api.errors import SampleError
    from mlperf_docker.harness.api.events import Events
    from mlperf_docker.harness.commands import outputs
    from mlperf_docker.harness.models.resnet50.benchmark import ResNet50

    large = dataclasses.replace(tiny, weights=overflowing(tiny, tmp_path))
    monkeypatch.setattr(ResNet50, "synthesize", lambda *_: large)
    cell = Cell("resnet50", "onnxruntime", Device.CPU, "resnet50")
    command = OutputsCommand(output=tmp_path / "outputs.safetensors", samples=6, cache=cache)
    with (tmp_path / "events").open("w") as stream, pytest.raises(SampleError, match="logits:0 of sample 0 is not fin"):
        outputs.execute(command, cell, Events(stream))
    assert not list(tmp_path.glob("*outputs*"))
