"""Synthetic sets of other numbers of samples, and of whole labels, of each benchmark."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mlperf_docker.contract.words import SyntheticLabels, SyntheticSize
from mlperf_docker.harness.api.scores import SyntheticKind
from tests.harness.process import command, environment, of_model

WHOLE_SCORES = {"resnet50": 100.0, "bert": 100.0, "3d-unet": 0.99, "retinanet": 98.0, "rnnt": 100.0, "dlrm": 100.0}
"""The least that the whole labels of a few samples reach."""
COUNTS = {"resnet50": 70, "bert": 67, "3d-unet": 1, "retinanet": 26, "rnnt": 26, "dlrm": 67}
"""Other than the usual ones, and more where that takes seconds."""
MANY = 640
"""Ten blocks."""


def test_a_kind_has_a_name_of_its_own() -> None:
    tiny, whole = SyntheticSize.TINY, SyntheticLabels.WHOLE
    kinds = [SyntheticKind(tiny), SyntheticKind(tiny, 64), SyntheticKind(tiny, 65), SyntheticKind(tiny, 65, whole)]
    names = [kind.name(64) for kind in (*kinds, SyntheticKind(tiny, labels=whole), SyntheticKind(SyntheticSize.FULL))]
    assert names == ["tiny", "tiny", "tiny-n65", "tiny-n65-whole", "tiny-whole", "full"]


@pytest.mark.parametrize("model", COUNTS)
def test_a_set_of_whole_labels_and_another_number_reaches_its_score(model: str, cache: Path, tmp_path: Path) -> None:
    kind = ("--synthetic", "tiny", "--synthetic-samples", COUNTS[model], "--synthetic-labels", "whole")
    done = of_model(model, cache, tmp_path, "run", *kind, "--mode", "accuracy", backend="onnxruntime")
    assert done.code == 0, done
    assert done.result["samples"] == COUNTS[model]
    assert done.result["accuracy"]["value"] >= WHOLE_SCORES[model]
    settings = done.result["settings"]
    assert (settings["dataset_samples"], settings["synthetic_labels"]) == (COUNTS[model], "whole")
    assert done.result["synthetic"] is True


@pytest.mark.parametrize("model", ["resnet50", "bert", "dlrm"])
def test_damaged_labels_have_a_known_score_at_any_number(model: str, cache: Path, tmp_path: Path) -> None:
    kind = ("--synthetic", "tiny", "--synthetic-samples", COUNTS[model])
    done = of_model(model, cache, tmp_path, "run", *kind, "--mode", "accuracy", backend="onnxruntime")
    assert done.code == 0, done
    assert done.result["accuracy"]["sense"] == "exactly"
    assert done.result["accuracy"]["value"] < 99
    assert done.result["settings"]["synthetic_labels"] == "damaged"


def test_a_larger_set_begins_with_the_samples_of_the_usual_one(cache: Path, tmp_path: Path) -> None:
    sets = [
        of_model("resnet50", cache, tmp_path, "synthesize", *more, backend="onnxruntime").result
        for more in ((), ("--synthetic-samples", COUNTS["resnet50"]))
    ]
    maps = [(Path(each["data"]) / "val_map.txt").read_text().splitlines() for each in sets]
    assert maps[1][:64] == maps[0]
    assert len(maps[1]) == COUNTS["resnet50"]
    assert Path(sets[0]["weights"]).read_bytes() == Path(sets[1]["weights"]).read_bytes()
    assert {path.name for path in Path(sets[1]["data"]).iterdir()} == {line.split()[0] for line in maps[1]} | {
        "val_map.txt"
    }


def test_more_cases_than_there_are_end_with_2(cache: Path, tmp_path: Path) -> None:
    done = of_model("3d-unet", cache, tmp_path, "run", "--synthetic=tiny", "--synthetic-samples=44")
    assert done.code == 2
    assert "3d-unet has 43 cases" in done.error["message"]


def test_a_set_whose_process_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    options = ("--synthetic-samples", MANY)
    folder = tmp_path / "cache"
    folder.mkdir()
    made = set_of(killed_after_some_blocks(folder, *options))
    times = {path.name: path.stat().st_mtime_ns for path in made[0].glob("*.JPEG")}
    finished_blocks = {json.loads(path.read_text())["names"][0] for path in made[1].glob("*.json")}
    done = of_model("resnet50", folder, tmp_path, "synthesize", *options, backend="onnxruntime")
    assert done.code == 0, done
    after = {path.name: path.stat().st_mtime_ns for path in Path(done.result["data"]).glob("*.JPEG")}
    kept = {name for name in finished_blocks if after[name] == times[name]}
    assert len(finished_blocks - kept) <= 1, "the first block gives the weights, and is drawn each time"
    assert len(after) == MANY
    other = tmp_path / "other"
    other.mkdir()
    again = of_model("resnet50", other, tmp_path, "synthesize", *options, backend="onnxruntime")
    for name in ("data/val_map.txt", "synthetic.json", "weights.safetensors"):
        paths = [Path(each.result["data"]).parent / name for each in (done, again)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def set_of(folder: Path) -> tuple[Path, Path]:
    (partial,) = (folder / "synthetic").glob("*.partial")
    return partial / "data", partial / "blocks"


def killed_after_some_blocks(cache: Path, *options: object) -> Path:
    line = command("synthesize", "--model", "resnet50", "--backend", "onnxruntime", "--cache", cache, *options)
    running = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    ends = time.monotonic() + 120
    while len(list(cache.glob("synthetic/*.partial/blocks/[0-9]*.json"))) < 3 and time.monotonic() < ends:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    return cache
