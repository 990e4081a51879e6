"""Commands and records of runs without what only one host has."""

import json
import subprocess
from pathlib import Path
from typing import Any

from mlperf_docker.results.values import RunResult
from mlperf_docker.submission import repeating
from tests.results.run_results import run_result


def asked(*words: str, **changes: Any) -> RunResult:
    request = {
        "command": ["mlperf-docker", "run", "resnet50", *words],
        "source": "0" * 12,
        "options": {},
        "dataset": {"name": "imagenet2012", "folder": "/home/me/imagenet", "identity": "sha256:1"},
        "model_file": "/home/me/mine.onnx",
        "user_conf": None,
        "limits": {},
        "profile": None,
    }
    return run_result(request={**request, **changes}, results_dir="/home/me/results/run")


RUN = asked("--dataset=/home/me/imagenet", "--model-file=/home/me/mine.onnx", "--mode=accuracy", "--results=/home/me/r")


def test_a_line_that_repeats_a_run_names_no_folder_of_the_host() -> None:
    wanted = "mlperf-docker run resnet50 --dataset=DATASET --model-file=MODEL_FILE --mode=accuracy"
    assert repeating.line(RUN) == wanted


def test_a_result_on_record_in_a_tree_names_no_folder_of_the_host() -> None:
    assert "/home/me" not in json.dumps(repeating.record(RUN))
    assert repeating.record(RUN)["request"]["dataset"]["identity"] == "sha256:1"


def test_a_line_has_the_options_of_the_profile_that_ran() -> None:
    tuned = asked("--mode=accuracy", profile={"name": "fast", "digest": "sha256:1", "options": {"batch_size": 7}})
    assert repeating.line(tuned).endswith("--mode=accuracy --batch-size=7")


def test_a_script_runs_each_command_once_with_the_readers_own_places(tmp_path: Path) -> None:
    (tmp_path / "mlperf-docker").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "mlperf-docker").chmod(0o755)
    (tmp_path / "repeat.sh").write_text(repeating.script([RUN, RUN, asked("--mode=performance")]))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "DATASET": "/my data", "MODEL_FILE": "m"}
    words = ["sh", str(tmp_path / "repeat.sh")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, env=environment)
    assert done.stdout.splitlines() == [
        "run resnet50 --dataset=/my data --model-file=m --mode=accuracy",
        "run resnet50 --mode=performance",
    ]
    unset = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env={"PATH": "/usr/bin"})
    assert (unset.returncode != 0, "DATASET: is not set" in unset.stderr) == (True, True)


def test_a_result_of_an_earlier_version_is_repeated_by_its_settings() -> None:
    line = repeating.line(run_result(settings={"min_duration_ms": 600000, "batch_size": 4}, synthetic_size="tiny"))
    assert line.endswith("--scenario=Offline --mode=performance --synthetic=tiny --min-duration=600 --batch-size=4")
