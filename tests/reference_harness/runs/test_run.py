"""Runs by the reference harness: on a stand-in of the checkout, and on the real one where there is one."""

import json
from pathlib import Path

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from tests.reference_harness.conftest import ReferenceHarness


def test_a_reference_answers_as_the_synthetic_set_knows(reference_harness: ReferenceHarness, tmp_path: Path) -> None:
    done = reference_harness("--mode=accuracy")
    assert (done.code, done.result["reasons"]) == (ExitCode.VALID, [])
    assert done.result["accuracy"]["value"] == done.result["accuracy"]["target"] == 87.5
    assert done.result["samples"] == done.result["settings"]["dataset_samples"] == 64
    assert (tmp_path / "results" / "accuracy.txt").read_text() == "accuracy=87.500%, good=56, total=64\n"
    assert json.loads((tmp_path / "results" / "result.json").read_text())["valid"]


def test_a_part_of_the_samples_is_all_that_the_reference_gets(reference_harness: ReferenceHarness) -> None:
    done = reference_harness("--mode=accuracy", "--samples=10")
    assert done.result["samples"] == 10
    assert done.result["accuracy"]["value"] == 90.0


def test_a_references_rate_is_loadgens(reference_harness: ReferenceHarness) -> None:
    """A short run tells the rate that LoadGen is told."""
    done = reference_harness("--min-duration=1")
    assert [event["name"] for event in done.of("phase")][-2:] == ["calibrate", "loadgen"]
    assert done.result["metric"]["name"] == "result_samples_per_second"
    assert done.result["settings"]["target_qps"] > 1
    assert any("LoadGen's" in remark for remark in done.result["settings"]["remarks"])


def test_a_rate_that_is_given_takes_no_short_run(reference_harness: ReferenceHarness) -> None:
    done = reference_harness("--min-duration=1", "--target-qps=20")
    assert "calibrate" not in [event["name"] for event in done.of("phase")]
    assert done.result["settings"]["target_qps"] == 20


def test_a_cold_start_does_not_make_a_run_end_early(reference_harness: ReferenceHarness) -> None:
    done = reference_harness("--min-duration=2", fault="cold")
    assert (done.code, done.result["reasons"]) == (ExitCode.VALID, [])
    assert not any("second run" in remark for remark in done.result["settings"]["remarks"])


def test_a_run_that_ended_early_is_repeated_with_the_rate_that_it_reached(reference_harness: ReferenceHarness) -> None:
    done = reference_harness("--min-duration=1", fault="slow-at-first")
    assert (done.code, done.result["reasons"]) == (ExitCode.VALID, [])
    assert [event["name"] for event in done.of("phase")][-3:] == ["calibrate", "loadgen", "loadgen"]
    assert any("this is a second run" in remark for remark in done.result["settings"]["remarks"])


def test_a_run_whose_rate_is_given_is_not_repeated(reference_harness: ReferenceHarness) -> None:
    done = reference_harness("--min-duration=1", "--target-qps=2")
    assert done.code == ExitCode.INVALID
    assert [event["name"] for event in done.of("phase")].count("loadgen") == 1


def test_a_slow_reference_is_not_watched_for_long(reference_harness: ReferenceHarness) -> None:
    """64 samples, a second each, are not waited for: the short run ends three seconds after the first one."""
    done = reference_harness("--min-duration=1", fault="slow")
    assert (done.code, done.result["reasons"]) == (ExitCode.VALID, [])
    times = {event["name"]: event["time"] for event in done.of("phase")}
    assert times["loadgen"] - times["calibrate"] < 30


def test_queries_of_a_stream_do_not_run_out(reference_harness: ReferenceHarness) -> None:
    done = reference_harness("--min-duration=1", "--scenario=SingleStream", fault="cold")
    assert (done.code, done.result["reasons"]) == (ExitCode.VALID, [])


def test_a_rounds_seeds_are_the_references_though_no_file_can_say_them(reference_harness: ReferenceHarness) -> None:
    seeds = {"qsl_rng_seed": 1780908523862526354, "sample_index_rng_seed": 11, "schedule_rng_seed": 12}
    given = [f"--{name.replace('_', '-')}={seed}" for name, seed in seeds.items()]
    done = reference_harness("--min-duration=1", "--target-qps=20", *given)
    assert {name: done.result["seeds"][name] for name in seeds} == seeds


def test_batches_that_a_reference_swallows_make_its_run_invalid(reference_harness: ReferenceHarness) -> None:
    done = reference_harness("--mode=accuracy", fault="batch")
    assert (done.code, done.result["valid"]) == (ExitCode.INVALID, False)
    assert "1 batches failed" in done.result["reasons"][0]
    assert "1 samples were answered with nothing" in done.result["reasons"]


def test_samples_that_a_reference_drops_make_its_run_invalid(reference_harness: ReferenceHarness) -> None:
    done = reference_harness("--mode=accuracy", fault="dropped")
    assert "3 images are not there" in done.result["reasons"][0]
    assert done.code == ExitCode.INVALID


def test_a_script_that_fails_is_one_error_with_its_last_lines(reference_harness: ReferenceHarness) -> None:
    done = reference_harness("--mode=accuracy", fault="exit")
    assert done.code == ExitCode.CONTAINER
    assert "main.py exited with 1" in done.error["message"]
    assert "no such luck" in done.error["details"][-1]


def test_a_checkout_without_the_benchmark_is_an_error(reference_harness: ReferenceHarness, checkout: Path) -> None:
    (checkout / "vision/classification_and_detection/python/main.py").unlink()
    done = reference_harness()
    assert done.code == ExitCode.USAGE
    assert "has no vision/classification_and_detection/python/main.py" in done.error["message"]


@pytest.mark.parametrize("option", ["--compliance=TEST04", "--instances=2", "--trace"])
def test_an_option_that_no_reference_has_is_refused(reference_harness: ReferenceHarness, option: str) -> None:
    done = reference_harness(option)
    assert done.code == ExitCode.USAGE


def test_the_real_reference_answers_alike(reference_harness: ReferenceHarness, real_checkout: Path) -> None:
    done = reference_harness("--mode=accuracy", f"--checkout={real_checkout}")
    assert (done.code, done.result["accuracy"]["value"]) == (ExitCode.VALID, 87.5)
