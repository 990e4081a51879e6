"""BERT by the reference: a stand-in of it, and the real one where there is one."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.harness.models.bert.payload import NOWHERE
from mlperf_docker.harness.samples import accuracy_log
from tests.harness.process import PATIENCE_S, environment
from tests.reference_harness.conftest import HarnessOf


def test_a_stand_in_of_bert_is_started_and_scored(harness_of: HarnessOf, tmp_path: Path) -> None:
    done = harness_of("bert", "onnxruntime")("--mode=accuracy")
    assert (done.code, done.result["reasons"]) == (ExitCode.VALID, [])
    assert done.result["samples"] == 64
    assert "hidden size 128" in done.stderr
    assert "numpy is installed: True" in done.stderr
    printed = json.loads((tmp_path / "results" / "accuracy.txt").read_text())
    assert done.result["accuracy"]["value"] == printed["f1"] > 50


def test_answers_of_tokens_reach_the_known_score_and_those_of_padding_do_not(harness_of: HarnessOf) -> None:
    done = harness_of("bert", "onnxruntime")("--mode=accuracy")
    assert done.result["accuracy"]["passed"]
    (told,) = [each for each in done.result["settings"]["remarks"] if "those of padding" in each]
    with_padding = json.loads(told.partition("it says ")[2])
    assert with_padding["f1"] < done.result["accuracy"]["value"] - 1


def test_an_int8_run_takes_the_quantised_graph(harness_of: HarnessOf) -> None:
    """The stand-in feeds inputs that the fp32 graph does not have."""
    done = harness_of("bert", "onnxruntime")("--mode=accuracy", "--precision=int8")
    assert (done.code, done.result["reasons"]) == (ExitCode.VALID, [])
    assert done.result["precision"] == "int8"


def test_a_part_of_the_questions_is_a_shorter_file(harness_of: HarnessOf) -> None:
    done = harness_of("bert", "onnxruntime")("--mode=accuracy", "--samples=10")
    assert done.result["samples"] == 10


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")
@pytest.mark.parametrize("backend", ["onnxruntime", "pytorch", "tensorflow"])
def test_the_real_bert_answers_alike(
    harness_of: HarnessOf, real_checkout: Path, tmp_path: Path, reference_cache: Path, backend: str
) -> None:
    done = harness_of("bert", backend)("--mode=accuracy", f"--checkout={real_checkout}")
    assert (done.code, done.result["reasons"]) == (ExitCode.VALID, [])
    theirs = logits(tmp_path / "results")
    own_run(backend, reference_cache, tmp_path)
    ours = logits(tmp_path / "ours")
    asked = ours > NOWHERE  # ours says nothing of padding
    np.testing.assert_allclose(theirs[asked], ours[asked], atol=1e-4)
    assert 0.2 < asked.mean() < 0.6


def own_run(backend: str, cache: Path, tmp_path: Path) -> None:
    """Run our own harness on the same synthetic set; its results are in ours/."""
    folders = {"cell": tmp_path / "cell.json", "results": tmp_path / "ours", "cache": cache}
    folders["results"].mkdir()
    line = [sys.executable, "-m", "mlperf_docker.harness", "run", "--synthetic=tiny", "--mode=accuracy"]
    line += [f"--{name}={path}" for name, path in folders.items()]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_S, env=environment(), cwd=tmp_path)
    assert done.returncode == ExitCode.VALID, done.stderr


def logits(folder: Path) -> NDArray[np.float32]:
    """Answers (n, 384, 2) in an accuracy log, in the order of the samples."""
    found = {each.sample: each.data for each in accuracy_log.answers(folder / accuracy_log.NAME)}
    return np.stack([np.frombuffer(found[n], dtype=np.float32).reshape(384, 2) for n in sorted(found)])
