"""LoadGen's settings of a compliance test: audit.config, and whether LoadGen took it."""

from collections.abc import Iterator, Mapping

from mlperf_docker.contract.cell import ComplianceTests
from mlperf_docker.contract.detail_log import DetailLog
from mlperf_docker.contract.words import ComplianceTest

NAME = "audit.config"

SETTINGS: Mapping[ComplianceTest, Mapping[str, int]] = {
    ComplianceTest.TEST01: {"accuracy_log_rng_seed": 720381539243781796},
    ComplianceTest.TEST04: {
        "performance_issue_unique": 0,
        "performance_issue_same": 1,
        "performance_issue_same_index": 3,
    },
    # LoadGen of today does not take this key from here: it is set in the program, too.
    ComplianceTest.TEST05: {"test05": 1},
}
"""Keys of each test besides `mode`, as the rules give them. Source: mlcommons/inference, compliance/TEST*/audit.config
and, at tag v4.1, compliance/nvidia/TEST05/audit.config."""

LEAST_SAMPLES = SETTINGS[ComplianceTest.TEST04]["performance_issue_same_index"] + 1
"""Samples that TEST04 needs: it issues one of them, by its place, again and again."""

_PERFORMANCE = 2
_READ = "Found Audit Config file"


def settings(test: ComplianceTest, known: ComplianceTests) -> dict[str, int]:
    """Keys and values of the test for a benchmark."""
    sampled = {"accuracy_log_sampling_target": known.sampling_target} if test.compares_answers else {}
    return {**SETTINGS[test], **sampled}


def text(test: ComplianceTest, known: ComplianceTests) -> str:
    """The text of audit.config; LoadGen reads it for every model and scenario."""
    keys = {"mode": _PERFORMANCE, **settings(test, known)}
    return "".join(f"*.*.{key} = {value}\n" for key, value in keys.items())


def unread(test: ComplianceTest, known: ComplianceTests, log: DetailLog) -> Iterator[str]:
    """What LoadGen did not take of the test's settings, as its detail log tells."""
    if not any(_READ in warning for warning in log.warnings):
        yield f"LoadGen did not read {NAME}"
        return
    for key, value in settings(test, known).items():
        used = log.values.get(f"effective_{key}")
        if used is not None and used != value:
            yield f"LoadGen used {key} {used}, and {NAME} says {value}"


def other_seeds(log: DetailLog, before: Mapping[str, int]) -> Iterator[str]:
    """Why a run does not have the other seeds of TEST05. before: those of the performance run."""
    same = [name for name, seed in before.items() if log.values.get(f"effective_{name}") == seed]
    if same:
        yield f"LoadGen used the performance run's {', '.join(same)}, and TEST05 has others"
