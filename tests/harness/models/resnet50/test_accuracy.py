"""Scoring against cases worked out by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.api.scores import Accuracy
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
    assert model.postprocess((np.array([1, 66, 1000], dtype=np.int64),), (0, 1, 2), out) is None
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
    def made(value: float, *, exact: bool) -> bool:
        return Accuracy("top1", value, 87.5, exact=exact, line="").passed

    assert made(87.5, exact=True)
    assert not made(89.0625, exact=True)
    assert made(89.0625, exact=False)
    assert not made(87.4, exact=False)
