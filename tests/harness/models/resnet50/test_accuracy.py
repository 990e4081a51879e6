"""Scoring against cases worked out by hand."""

import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from mlperf_docker.contract.scores import Sense
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.api.samples import Samples
from mlperf_docker.harness.api.scores import Accuracy, JudgedScore
from mlperf_docker.harness.models.resnet50.accuracy import Top1, score
from mlperf_docker.harness.models.resnet50.benchmark import ResNet50


def entry(index: int, label: float) -> dict[str, object]:
    return {"seq_id": index, "qsl_idx": index, "data": np.float32(label).tobytes().hex().upper()}


def write(path: Path, entries: list[dict[str, object]]) -> Path:
    path.write_text(json.dumps(entries))
    return path


def test_payload_is_one_float32_label_without_the_background() -> None:
    out = np.zeros((3, 1), dtype=np.float32)
    model = ResNet50().native(Path("resnet50_v1.onnx"), ModelFormat.ONNX)
    outputs = (np.array([1, 66, 1000], dtype=np.int64),)
    assert model.postprocess_for(cast("Samples", None))(outputs, (0, 1, 2), out) is None
    assert out.tobytes() == np.array([0, 65, 999], dtype="<f4").tobytes()


def test_first_answers_count_and_repeated_ones_do_not(tmp_path: Path) -> None:
    log = write(tmp_path / "log.json", [entry(2, 7), entry(0, 5), entry(1, 6), entry(0, 9)])
    found = score(log, [5, 1, 7])
    assert found == Top1(good=2, total=3)
    assert str(found) == "accuracy=66.667%, good=2, total=3"


def test_only_samples_seen_are_counted(tmp_path: Path) -> None:
    assert score(write(tmp_path / "log.json", [entry(1, 4)]), [0, 4, 0, 0]) == Top1(1, 1)


def test_values_are_cut_to_whole_numbers_as_upstream_does(tmp_path: Path) -> None:
    assert score(write(tmp_path / "log.json", [entry(0, 4.9)]), [4]).good == 1


def test_an_empty_answer_is_a_failure(tmp_path: Path) -> None:
    log = write(tmp_path / "log.json", [{"seq_id": 0, "qsl_idx": 0, "data": ""}])
    with pytest.raises(SampleError, match="sample 0"):
        score(log, [0])


def test_a_known_value_must_be_met_exactly_and_a_target_reached() -> None:
    def made(value: float, sense: Sense, tolerance: float = 0.0) -> bool:
        return JudgedScore("top-1", value, sense, 87.5, tolerance=tolerance).passed

    assert made(87.5, Sense.EXACTLY)
    assert made(87.5000001, Sense.EXACTLY)
    assert not made(89.0625, Sense.EXACTLY)
    assert made(87.6, Sense.EXACTLY, tolerance=0.1)
    assert made(89.0625, Sense.AT_LEAST)
    assert not made(87.4, Sense.AT_LEAST)
    assert JudgedScore("top-1", 0.0).passed, "nobody knows a target"


def test_the_higher_level_is_judged_too() -> None:
    def made(value: float) -> JudgedScore:
        return JudgedScore("F1", value, target=89.96526, high_target=90.783126)

    levels = [(made(value).passed, made(value).high) for value in (89.9, 89.97, 90.79)]
    assert levels == [(False, False), (True, False), (True, True)]
    assert JudgedScore("top-1", 76.0, target=75.6954).high is None


def test_the_first_score_that_fails_decides() -> None:
    scores = [
        JudgedScore(name, value, target=40.0, high_target=41.0) for name, value in zip("abc", (42, 39, 38), strict=True)
    ]
    found = Accuracy(tuple(scores)).reply()
    assert (found.metric, found.passed, found.high) == ("b", False, False)
    listed = [(each.metric, each.passed, each.high) for each in found.scores]
    assert listed == [("a", True, True), ("b", False, False), ("c", False, False)]
    alone = Accuracy(tuple(scores[:1])).reply()
    assert (alone.metric, alone.passed, alone.high) == ("a", True, True)
