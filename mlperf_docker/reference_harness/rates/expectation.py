"""Expectation of a run: the rate and latency that LoadGen is told, out of what a short run, or an earlier one, reached.

LoadGen prepares the queries of a run beforehand. Too few, and it ends before its minimum duration and is INVALID; too
many only prolong it.
"""

from mlperf_docker.contract.detail_log import DetailLog
from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.loadgen import logs, settings
from mlperf_docker.reference_harness.rates.pace import Pace

MARGIN = 1.25
"""By how much more than the quickest pace an Offline query is sized for."""
SHORT_RUN = {"min_duration": 1, "min_query_count": 1024, "target_qps": 1, "target_latency": 1000}
"""Settings of a short run: as many queries, in Offline samples, as it ends before; see completions.py."""
MEASURED_IN = {Scenario.SERVER: Scenario.SINGLE_STREAM}
"""Scenario → another one to measure the rate in: one that waits for answers."""


def of_pace(pace: Pace, scenario: Scenario, *, samples_per_query: float, equal_issue: bool) -> settings.Hints:
    """What *pace* lets expect. equal_issue: of a model that has it, whose runs are prolonged by too small a latency."""
    if scenario is Scenario.OFFLINE:
        return settings.hints(rate=MARGIN * pace.quickest, latency_s=1 / pace.quickest)
    typical = scenario is Scenario.SERVER or equal_issue
    rate = pace.typical if typical else pace.quickest
    return settings.hints(rate=rate, latency_s=samples_per_query / rate)


def of_log(log: DetailLog, scenario: Scenario) -> settings.Hints | None:
    """What a whole run with this log lets expect of the next one; None where the log does not tell."""
    figure, latencies = logs.metric(log, scenario), logs.latency_ns(log, scenario)
    if figure is None or not latencies or not latencies["mean"]:
        return None
    latency_s = latencies["mean"] / 1e9
    rate = MARGIN * float(figure["value"]) if scenario is Scenario.OFFLINE else 1 / latency_s
    return settings.hints(rate=rate, latency_s=latency_s)


def ended_early(log: DetailLog) -> bool:
    """Whether a performance run was over before its minimum duration."""
    return not log.says_yes("result_min_duration_met")
