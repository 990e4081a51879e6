"""RNN-T by the reference: a stand-in of it, and the real one where there is one."""

import importlib.util
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.harness.architectures.rnnt import RnntConfig
from mlperf_docker.harness.models.rnnt.utterances import Utterance
from mlperf_docker.reference_harness.models.rnnt import entry, sized
from tests.reference_harness.conftest import STAND_IN, ReferenceHarness

HarnessOf = Callable[[str, str], ReferenceHarness]
SETTINGS = STAND_IN / "retired_benchmarks/speech_recognition/rnnt/pytorch/configs/rnnt.toml"
IMPORTED = ("inflect", "librosa", "toml", "tqdm", "unidecode")
"""What the real one imports besides."""


@pytest.fixture
def rnnt(harness_of: HarnessOf) -> ReferenceHarness:
    pytest.importorskip("torch")
    return harness_of("rnnt", "pytorch")


def test_a_stand_in_of_rnnt_answers_as_the_synthetic_set_knows(rnnt: ReferenceHarness, tmp_path: Path) -> None:
    done = rnnt("--mode=accuracy")
    assert (done.code, done.result["reasons"], done.result["samples"]) == (ExitCode.VALID, [], 24)
    assert done.result["accuracy"]["passed"]
    line = (tmp_path / "results" / "accuracy.txt").read_text()
    assert line.endswith(f"accuracy={done.result['accuracy']['value']}%\n")
    assert done.stderr.count(line) == 2  # its own scoring, and ours of its log by the same script
    assert "sizes are told: True" in done.stderr
    assert "filters and window: (1, 80, 257) (320,)" in done.stderr


@pytest.mark.parametrize(("fault", "code"), [("", ExitCode.VALID), ("silence", ExitCode.INVALID)])
def test_a_part_of_the_utterances_is_a_shorter_manifest(rnnt: ReferenceHarness, fault: str, code: ExitCode) -> None:
    """One that was answered with nothing counts as heard wrong, and as answered."""
    done = rnnt("--mode=accuracy", "--samples=5", fault=fault)
    assert (done.code, done.result["samples"]) == (code, 5), done
    assert not [reason for reason in done.result["reasons"] if "nothing" in reason]


def test_utterances_that_a_reference_leaves_out_make_its_run_invalid(rnnt: ReferenceHarness) -> None:
    done = rnnt("--mode=accuracy", "--samples=5", fault="filtered")
    assert "left out 0.02 hours" in done.result["reasons"][0]


def test_an_utterance_is_an_entry_of_the_manifest(tmp_path: Path) -> None:
    assert entry(Utterance(tmp_path / "1-2-0003.flac", "it's", 24_000)) == {
        "files": [{"fname": str(tmp_path / "1-2-0003.flac"), "duration": 1.5, "speed": 1}],
        "original_duration": 1.5,
        "transcript": "it's",
    }


def test_settings_get_the_size_of_the_network_and_keep_the_rest() -> None:
    size = RnntConfig(encoder=32, lower=1, upper=4, prediction=16, layers=5, joint=24)
    assert tomllib.loads(sized(SETTINGS.read_text(), size))["rnnt"] == {
        "encoder_n_hidden": 32,
        "encoder_pre_rnn_layers": 1,
        "encoder_post_rnn_layers": 4,
        "pred_n_hidden": 16,
        "pred_rnn_layers": 5,
        "joint_n_hidden": 24,
        "dropout": 0.5,
    }


@pytest.mark.skipif(not all(map(importlib.util.find_spec, IMPORTED)), reason=f"not all of {IMPORTED} are installed")
@pytest.mark.parametrize("scenario", ["Offline", "Server", "SingleStream"])
def test_the_real_rnnt_answers_alike(rnnt: ReferenceHarness, real_checkout: Path, scenario: str) -> None:
    done = rnnt("--mode=accuracy", f"--scenario={scenario}", f"--checkout={real_checkout}")
    assert done.result["accuracy"]["passed"], done
    assert done.result["samples"] == 24
