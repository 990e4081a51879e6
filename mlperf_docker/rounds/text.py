"""Rounds as text for people."""

from collections.abc import Iterable, Iterator

from mlperf_docker.display.tables import fact_lines
from mlperf_docker.rounds.round import Round, RoundBenchmark
from mlperf_docker.rounds.words import Suite

WIDTH = 13
"""Of the names of facts."""
ROUNDS_HEADER = ("round", "models", "LoadGen", "tests", "layout")
BENCHMARKS_HEADER = ("benchmark", "model", "divisions", *Suite, "target", "in memory", "data set", "Offline", "bound")
BENCHMARKS_ORDER = ("benchmark", *Suite, "target", "model", "in memory", "data set", "Offline", "bound", "divisions")
"""The same by importance."""
_SUITES = {Suite.EDGE: "Edge", Suite.DATACENTER: "Datacenter", Suite.BOTH: "Both"}


def round_line(round_: Round) -> tuple[str, ...]:
    """One row of `rounds list`."""
    tests = sorted({test for each in round_.benchmarks for test in each.tests})
    return (round_.name, ", ".join(round_.models), _loadgen(round_), ", ".join(tests), round_.layout.name)


def _loadgen(round_: Round) -> str:
    return round_.loadgen or "-"


def round_text(round_: Round) -> str:
    """The facts of a round that are not its benchmarks'."""
    return fact_lines(_round_facts(round_), WIDTH)


def _round_facts(round_: Round) -> Iterable[tuple[str, str]]:
    layout = round_.layout
    yield "Round", round_.name
    yield "LoadGen", f"{_loadgen(round_)} (versions with these seeds; `run --round` sets them in any)"
    yield from (("Seed", f"{name} {seed}") for name, seed in round_.seeds.model_dump().items())
    yield "Duration", f"{round_.min_duration_ms / 1000:g} s or more"
    yield "Source", f"{layout.source}/{{benchmark}}"
    yield "Settings", f"{layout.measurements}: {', '.join((layout.measurements_file, *layout.configuration_files))}"
    yield "Keys", ", ".join(round_.measurement_keys)
    yield "Compliance", layout.compliance
    yield "Log limit", f"{round_.accuracy_log_limit_bytes:,} bytes of mlperf_log_accuracy.json"
    yield "System", f"{len(round_.system_keys)} keys, {len(round_.filled_system_keys)} of them filled"


def benchmark_line(benchmark: RoundBenchmark) -> tuple[str, ...]:
    """One row of the benchmarks of `rounds show`."""
    return (
        benchmark.name,
        benchmark.model or "-",
        ", ".join(benchmark.divisions),
        *(", ".join(benchmark.required(suite)) or "-" for suite in Suite),
        _targets(benchmark),
        f"{benchmark.performance_sample_count:,}",
        f"{benchmark.dataset_size:,}",
        f"{benchmark.offline_min_samples:,}",
        "-" if benchmark.server_latency_ms is None else f"{benchmark.server_latency_ms} ms",
    )


def _targets(benchmark: RoundBenchmark) -> str:
    return ", ".join(f"{target.metric} {target.value:.8g}" for target in benchmark.targets)


def model_text(round_: Round, model: str) -> str:
    """What a round asks of our *model*."""
    return fact_lines(_model_facts(round_, model), WIDTH)


def _model_facts(round_: Round, model: str) -> Iterator[tuple[str, str]]:
    """The facts of the model's benchmarks; one that differs between them with their names."""
    yield "Round", f"{round_.name}: runs of {round_.min_duration_ms / 1000:g} s or more, with its seeds"
    found = {each.name: dict(_benchmark_facts(each)) for each in round_.benchmarks_of(model)}
    yield "Benchmarks", ", ".join(found)
    for fact in dict.fromkeys(fact for facts in found.values() for fact in facts):
        told = {name: facts.get(fact, "-") for name, facts in found.items()}
        same = len(set(told.values())) == 1
        yield fact, next(iter(told.values())) if same else "; ".join(f"{name}: {text}" for name, text in told.items())


def _benchmark_facts(benchmark: RoundBenchmark) -> Iterator[tuple[str, str]]:
    yield "Divisions", ", ".join(benchmark.divisions)
    yield from ((_SUITES[suite], ", ".join(found.required)) for suite, found in benchmark.suites.items())
    yield "Target", _targets(benchmark)
    yield "Scored", f"{benchmark.dataset_size:,} samples"
    yield "In memory", f"{benchmark.performance_sample_count:,} samples or more"
    yield "Offline", f"{benchmark.offline_min_samples:,} samples or more"
    if benchmark.server_latency_ms is not None:
        yield "Server", f"a bound of {benchmark.server_latency_ms:,} ms or less"
    if benchmark.equal_issue:
        yield "Issue", "each sample equally often"
    yield "Compliance", ", ".join(benchmark.tests)
