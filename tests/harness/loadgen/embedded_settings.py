"""LoadGen's settings as read from a user.conf and its embedded configuration, once in a process.

Usage: python -m tests.harness.loadgen.embedded_settings USER_CONF_TEXT SAMPLES [SEED=VALUE …]
"""

import sys
from pathlib import Path

from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.harness.loadgen.settings import loadgen_settings


def main(text: str, samples: int, seeds: dict[str, int]) -> None:
    found = loadgen_settings(
        Path("user.conf"),
        text,
        model="resnet50",
        scenario=Scenario.OFFLINE,
        mode=Mode.ACCURACY,
        samples=samples,
        seeds=seeds,
    )
    values = (found.offline_expected_qps, found.min_duration_ms, found.min_query_count)
    chosen = (found.performance_sample_count_override, found.mode.name)
    seeded = (found.qsl_rng_seed, found.sample_index_rng_seed, found.schedule_rng_seed)
    sys.stdout.write(" ".join(map(str, (*values, *chosen, *seeded))) + "\n")


if __name__ == "__main__":
    given = dict(word.split("=") for word in sys.argv[3:])
    main(sys.argv[1], int(sys.argv[2]), {name: int(value) for name, value in given.items()})
