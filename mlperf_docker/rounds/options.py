"""Options of a run for a round: LoadGen's settings that no wheel of LoadGen has for every round."""

from dataclasses import replace

from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.rounds.round import Round


def for_round(options: RunOptions, model: str, round_: Round) -> RunOptions:
    """Return *options* with the seeds of *round_*, and with its count of samples in Offline's query, also if short."""
    seeds = round_.seeds_for(options.compliance).model_dump()
    return replace(options, **seeds, min_query_count=_count(options, model, round_))


def _count(options: RunOptions, model: str, round_: Round) -> int | None:
    """Offline's count; None where LoadGen's own is right."""
    if options.scenario is not Scenario.OFFLINE or options.mode is not Mode.PERFORMANCE:
        return None
    return max((each.offline_min_samples for each in round_.benchmarks_of(model)), default=None)
