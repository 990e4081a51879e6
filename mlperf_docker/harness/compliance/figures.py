"""Figure of a compliance run held to that of the performance run.

Source: mlcommons/inference, compliance/TEST01 and TEST04/verify_performance.py; at tag v4.1, nvidia/TEST05 too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlperf_docker.contract.detail_log import DetailLog
from mlperf_docker.contract.result import FiguresCompared
from mlperf_docker.contract.words import ComplianceTest, Scenario
from mlperf_docker.harness.loadgen.logs import METRICS

LOOSE = 0.20
"""Share by which quick systems may differ, whose latencies vary more from run to run."""
QUICK_NS: Mapping[Scenario, float] = {Scenario.SINGLE_STREAM: 200_000, Scenario.MULTI_STREAM: 1_600_000}
"""Latency up to which a system counts as quick."""
SLOW_RATE: Mapping[Scenario, float] = {Scenario.SINGLE_STREAM: 200_000, Scenario.MULTI_STREAM: 1_600_000}
"""Rate up to which TEST04 lets a system differ more: it compares rates with the very same numbers."""


@dataclass(frozen=True, slots=True)
class FigureRule:
    """Share by which the figure of a test may be off, and in which direction."""

    share: float
    slower: bool
    """Whether being slower fails."""
    faster: bool
    """Whether being faster fails."""
    by_rate: bool = False
    """Whether latencies are compared as rates."""


RULES: Mapping[ComplianceTest, FigureRule] = {
    ComplianceTest.TEST01: FigureRule(0.10, slower=True, faster=True),
    ComplianceTest.TEST04: FigureRule(0.10, slower=False, faster=True, by_rate=True),
    ComplianceTest.TEST05: FigureRule(0.05, slower=True, faster=False),
}


def compare(test: ComplianceTest, scenario: Scenario, reference: DetailLog, log: DetailLog) -> FiguresCompared:
    """The figure of *log* beside that of the performance run's *reference*, with the bounds of their ratio."""
    before, now = (_figure(each, scenario) for each in (reference, log))
    ratio = now / before if before and now is not None else None
    least, most = bounds(test, scenario, before) if before else (None, None)
    return FiguresCompared(before, now, ratio, least, most)


def bounds(test: ComplianceTest, scenario: Scenario, reference: float) -> tuple[float | None, float | None]:
    """The least and the greatest ratio of the figures that pass, None where there is none."""
    rule = RULES[test]
    share = LOOSE if _is_loose(rule, scenario, reference) else rule.share
    if scenario.higher_is_better:
        return (1 - share if rule.slower else None), (1 + share if rule.faster else None)
    quickest = 1 / (1 + share) if rule.by_rate else 1 - share
    return (quickest if rule.faster else None), (1 + share if rule.slower else None)


def _is_loose(rule: FigureRule, scenario: Scenario, reference: float) -> bool:
    if scenario.higher_is_better:
        return False
    return 1e9 / reference <= SLOW_RATE[scenario] if rule.by_rate else reference <= QUICK_NS[scenario]


def problems(scenario: Scenario, reference: DetailLog, log: DetailLog, found: FiguresCompared) -> Iterator[str]:
    """Why the figures do not pass."""
    for run, each in (("performance", reference), ("compliance", log)):
        if each.values.get("result_validity") != "VALID":
            yield f"the {run} run is {each.values.get('result_validity', 'without a verdict')}"
    yield from _mixed(scenario, reference, log)
    if found.ratio is None:
        yield f"a run has no {METRICS[scenario][0]}"
    elif found.least is not None and found.ratio < found.least:
        yield f"{_told(scenario, found)}: at least {found.least:.3g} passes"
    elif found.most is not None and found.ratio > found.most:
        yield f"{_told(scenario, found)}: at most {found.most:.3g} passes"


def _mixed(scenario: Scenario, reference: DetailLog, log: DetailLog) -> Iterator[str]:
    """Runs that cannot be compared."""
    keys = ["effective_scenario"]
    keys += ["effective_target_latency_ns"] if scenario is Scenario.SERVER else []
    for key in keys:
        before, now = (each.values.get(key) for each in (reference, log))
        if before != now:
            yield f"{key.removeprefix('effective_')} is {now}, and was {before} in the performance run"


def _told(scenario: Scenario, found: FiguresCompared) -> str:
    name, unit = METRICS[scenario]
    return f"{name} is {found.value:.6g} {unit}, {found.ratio:.3f} times that of the performance run"


def _figure(log: DetailLog, scenario: Scenario) -> float | None:
    name = METRICS[scenario][0]
    return log.number(name) if name in log.values else None
