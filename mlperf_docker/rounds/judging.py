"""Judgement of a run against a round: whether it counts, for which benchmarks, and what is in the way.

The same rules look at what is known before a run and at its result; each lets pass what is not known yet. An entry
needs more than one run: its other scenarios, accuracy runs and compliance tests are not this judgement's subject.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario
from mlperf_docker.results.values import RoundVerdict, RunResult
from mlperf_docker.rounds.round import Round, RoundBenchmark

_NS_PER_MS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """Facts of a run that a round's rules look at. None: not known, or not known yet."""

    scenario: Scenario
    mode: Mode
    compliance: ComplianceTest | None
    synthetic: bool
    official_file: bool | None = None
    valid: bool | None = None
    errors: int = 0
    """Errors in LoadGen's log."""
    seeds: Mapping[str, int] | None = None
    min_duration_ms: float | None = None
    in_memory: float | None = None
    """Samples that LoadGen holds in a performance run."""
    samples: int | None = None
    """Samples of Offline's one query, or of an accuracy run."""
    server_latency_ms: float | None = None
    """The bound on Server's latency."""
    equal_issue: bool | None = None
    subset: float | None = None
    """The samples of the data set that are used, where not all are."""
    open_only: tuple[str, ...] = ()
    """Keys of a user.conf for which the closed division has a rule."""
    scores: Mapping[str, float] | None = None
    """Scores of an accuracy run, by our names."""

    @property
    def is_performance(self) -> bool:
        """Whether its figure is a speed."""
        return self.mode is Mode.PERFORMANCE


def judge(result: RunResult, round_: Round) -> RoundVerdict:
    """Return whether the run with this *result* counts for *round_*."""
    return _verdict(result.model, _facts(result), round_)


def foresee(model: str, options: RunOptions, round_: Round) -> RoundVerdict:
    """Return whether a run of *model* with *options* can count for *round_*, as far as that can be told before it."""
    duration = None if options.min_duration_s is None else options.min_duration_s * 1000
    facts = RunFacts(
        scenario=options.scenario,
        mode=options.mode,
        compliance=options.compliance,
        synthetic=options.synthetic is not None,
        min_duration_ms=duration,
        in_memory=options.samples,
        subset=options.samples,
        samples=options.samples if options.mode is Mode.ACCURACY else None,
        server_latency_ms=options.target_latency_ms if options.scenario is Scenario.SERVER else None,
    )
    return _verdict(model, facts, round_)


def _facts(result: RunResult) -> RunFacts:
    settings, accuracy, file = result.settings, result.accuracy, result.model_file
    open_only = settings.get("open_only")
    bound_ns = _number(settings.get("target_latency_ns"))
    return RunFacts(
        scenario=result.scenario,
        mode=result.mode,
        compliance=result.compliance.test if result.compliance else None,
        synthetic=result.synthetic,
        official_file=bool(file and file.get("official")),
        valid=result.valid,
        errors=len(result.loadgen_errors),
        seeds=result.seeds,
        min_duration_ms=_number(settings.get("min_duration_ms")),
        in_memory=_number(settings.get("performance_sample_count")),
        samples=result.samples,
        server_latency_ms=None if bound_ns is None else bound_ns / _NS_PER_MS,
        equal_issue=settings.get("sample_concatenate_permutation"),
        subset=_number(result.request.options.get("samples")) if result.request else None,
        open_only=tuple(map(str, open_only)) if isinstance(open_only, list | tuple) else (),
        scores={score.metric: score.value for score in accuracy.scores} if accuracy else None,
    )


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None


def _verdict(model: str, facts: RunFacts, round_: Round) -> RoundVerdict:
    """The verdict: what is in the way of the run itself, of all its benchmarks, and of some of them by name."""
    benchmarks = round_.benchmarks_of(model)
    shared = [why for rule in _OF_ROUND for why in rule(facts, round_)]
    if not benchmarks:
        shared.insert(0, f"{round_.name} has no benchmark of {model}")
    own = {each.name: [why for rule in _OF_BENCHMARK for why in rule(facts, each)] for each in benchmarks}
    of_all = [why for why in next(iter(own.values()), []) if all(why in found for found in own.values())]
    of_some = [f"{name}: {why}" for name, found in own.items() for why in found if why not in of_all]
    fitting = () if shared else tuple(name for name, found in own.items() if not found)
    return RoundVerdict(name=round_.name, benchmarks=fitting, counts=bool(fitting), why=(*shared, *of_all, *of_some))


def _data(facts: RunFacts, _: Round) -> Iterator[str]:
    if facts.synthetic:
        yield "the data are synthetic"
    elif facts.official_file is False:
        yield "the model file is not the official one"


def _validity(facts: RunFacts, _: Round) -> Iterator[str]:
    if facts.valid is False:
        yield "the run is not valid"
    if facts.errors:
        yield f"LoadGen's log has {facts.errors} error{'s' if facts.errors > 1 else ''}"


def _seeds(facts: RunFacts, round_: Round) -> Iterator[str]:
    if facts.seeds is None or not facts.is_performance:
        return
    wanted = round_.seeds_for(facts.compliance)
    other = [name for name, seed in wanted.model_dump().items() if facts.seeds.get(name) != seed]
    if other:
        yield f"{', '.join(other)} {'is' if len(other) == 1 else 'are'} not of {round_.name}"


def _duration(facts: RunFacts, round_: Round) -> Iterator[str]:
    if facts.is_performance and (facts.min_duration_ms or round_.min_duration_ms) < round_.min_duration_ms:
        asked, least = (ms / 1000 for ms in (facts.min_duration_ms or 0, round_.min_duration_ms))
        yield f"the minimum duration is {asked:g} s, not {least:g} s"


def _scenario(facts: RunFacts, benchmark: RoundBenchmark) -> Iterator[str]:
    if benchmark.is_closed and facts.scenario not in benchmark.scenarios:
        yield f"no entry has {facts.scenario}: {', '.join(benchmark.scenarios)} are asked for"


def _user_conf(facts: RunFacts, benchmark: RoundBenchmark) -> Iterator[str]:
    for key in facts.open_only if benchmark.is_closed else ():
        yield f"user.conf sets {key}, for which the closed division has a rule"


def _subset(facts: RunFacts, benchmark: RoundBenchmark) -> Iterator[str]:
    if facts.subset is not None and facts.is_performance and facts.subset < benchmark.dataset_size:
        yield f"only {facts.subset:,} of {benchmark.dataset_size:,} samples of the data set are used"


def _in_memory(facts: RunFacts, benchmark: RoundBenchmark) -> Iterator[str]:
    least = benchmark.performance_sample_count
    if facts.is_performance and facts.in_memory is not None and facts.in_memory < least:
        yield f"LoadGen holds {facts.in_memory:,} samples in memory, not {least:,}"


def _samples(facts: RunFacts, benchmark: RoundBenchmark) -> Iterator[str]:
    if facts.samples is None:
        return
    if not facts.is_performance and facts.samples < benchmark.dataset_size:
        yield f"{facts.samples:,} of {benchmark.dataset_size:,} samples of the data set were scored"
    if facts.is_performance and facts.scenario is Scenario.OFFLINE and facts.samples < benchmark.offline_min_samples:
        yield f"Offline's query has {facts.samples:,} samples, not {benchmark.offline_min_samples:,}"


def _bound(facts: RunFacts, benchmark: RoundBenchmark) -> Iterator[str]:
    bound, most = facts.server_latency_ms, benchmark.server_latency_ms
    if facts.scenario is Scenario.SERVER and bound is not None and most is not None and bound > most:
        yield f"the bound on Server's latency is {bound:.9g} ms, not {most} ms"


def _equal_issue(facts: RunFacts, benchmark: RoundBenchmark) -> Iterator[str]:
    if benchmark.equal_issue and facts.is_performance and facts.equal_issue is False:
        yield "samples were not issued equally often"


def _targets(facts: RunFacts, benchmark: RoundBenchmark) -> Iterator[str]:
    if facts.scores is None or facts.synthetic:
        return
    for target in benchmark.targets:
        value = facts.scores.get(target.score, math.nan)
        if not value >= target.value:
            yield f"{target.score} is {value:.8g}, not {target.value:.8g}"


_OF_ROUND: tuple[Callable[[RunFacts, Round], Iterator[str]], ...] = (_data, _validity, _seeds, _duration)
_OF_BENCHMARK: tuple[Callable[[RunFacts, RoundBenchmark], Iterator[str]], ...] = (
    _scenario,
    _user_conf,
    _subset,
    _in_memory,
    _samples,
    _bound,
    _equal_issue,
    _targets,
)
