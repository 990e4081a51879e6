"""Compliance runs: files and words of their verdicts, options that fit together, and settings of earlier runs."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import ComplianceTest, Mode

VERIFIED_ACCURACY = "verify_accuracy.txt"
VERIFIED_PERFORMANCE = "verify_performance.txt"
BASELINE_SCORE = "baseline_accuracy.txt"
COMPLIANCE_SCORE = "compliance_accuracy.txt"
PASSED, FAILED = "TEST PASS", "TEST FAIL"
"""What submission checkers look for in the files of verdicts."""
MOST_APART, MOST_APART_HIGH = 0.01, 0.001
"""The most that two scores may be apart, as a part of them; at the 99.9 % level less."""


class Refusal(NamedTuple):
    """Why a compliance run cannot be."""

    message: str
    hint: str | None = None


def problem(options: RunOptions, model: str, tests: Collection[ComplianceTest], *, user_conf: bool) -> Refusal | None:
    """Why *options* cannot be a compliance run of a model that has *tests*; None if they can, or are another run."""
    test = options.compliance
    if test is None:
        return None
    if test not in tests:
        there = f"it has {', '.join(tests)}" if tests else "it has none"
        return Refusal(f"{model} has no {test}: {there}.")
    if options.mode is not Mode.PERFORMANCE:
        return Refusal(f"{test} is a performance run: --compliance and --mode {options.mode} exclude each other.")
    if user_conf:
        hint = "Give --user-conf to the performance run."
        return Refusal(f"{test} takes the user.conf of the performance run, and none of its own.", hint)
    return None


PARTS = "parts_per_batch"
"""Setting of models whose batches are of parts of a sample: what --batch-size says of them."""

_SETTINGS: Mapping[str, tuple[tuple[str, ...], float]] = {
    "min_duration_s": (("min_duration_ms",), 1e3),
    "target_qps": (("target_qps",), 1),
    "target_latency_ms": (("target_latency_ns",), 1e6),
    "batch_size": ((PARTS, "batch_size"), 1),
    "instances": (("instances",), 1),
    "threads_per_instance": (("threads",), 1),
    "samples": (("dataset_samples",), 1),
}
"""Option → the keys of which the first that is there tells its value among a result's `settings`, and how many of its
units are one of the option's."""
_DIGITS = 1e-5
"""LoadGen is told six digits."""


def contradictions(options: RunOptions, settings: Mapping[str, Any]) -> Iterator[str]:
    """The options whose value is not that of a run with *settings*, in words. A run that does not tell has any."""
    samples = options.samples or options.synthetic_samples
    for name, (keys, units) in _SETTINGS.items():
        given = samples if name == "samples" else getattr(options, name)
        key = next((each for each in keys if isinstance(settings.get(each), int | float)), None)
        if given is not None and key and not math.isclose(given * units, settings[key], rel_tol=_DIGITS):
            yield f"its {key} is {settings[key]:g}, not {given * units:g}"
