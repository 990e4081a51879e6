"""LoadGen's TestSettings: embedded mlperf.conf, then user.conf, then the fields that no file can set."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import mlperf_loadgen as lg

from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.system.files import write_atomically

OFFICIAL_DURATION_MS = 600_000
SERVER_QUERIES = 1001
"""Server queries of a short run: early stopping needs 459 if none is late, 662 if one is, and 1001 if three are."""

STREAM_MARGIN = 0.8
"""Share of the quickest latency given as a hint: queries run out if the hint is over twice the true latency."""

EQUAL_ISSUE_MARGIN = 1.6
"""For models whose samples are issued equally often, SingleStream issues 2 · duration / hint queries, however long it
takes. With this factor on the measured
latency a run lasts a quarter longer than its minimum duration; with others' factor it would be two and a half times."""
STREAM_QUERIES = 64
"""SingleStream queries of a short run of these models: early stopping needs so many for its 90th percentile."""

HARNESS_SAMPLE_S, HARNESS_QUERY_S = 0.5e-6, 5e-6
"""What LoadGen and the harness take themselves. Without it a predictor that is nearly free would get hints that make
LoadGen prepare more queries than memory holds."""

OFFLINE_SLACK, STREAM_SLACK = 1.1, 2.0
"""How many more samples, or queries, LoadGen prepares than the hints ask for."""

SERVER_SHARE = 1 / 4
"""Share of the measured rate that Server asks for by default; with Poisson arrivals queues then stay short."""

LEAST_WAITING = 64
"""Queries that may always wait: the first ones meet a system that is cold."""

SCENARIOS = {
    Scenario.SINGLE_STREAM: lg.TestScenario.SingleStream,
    Scenario.MULTI_STREAM: lg.TestScenario.MultiStream,
    Scenario.SERVER: lg.TestScenario.Server,
    Scenario.OFFLINE: lg.TestScenario.Offline,
}
MODES = {Mode.PERFORMANCE: lg.TestMode.PerformanceOnly, Mode.ACCURACY: lg.TestMode.AccuracyOnly}


@dataclass(frozen=True, slots=True)
class Hints:
    """Expected rate and latency, for LoadGen's settings."""

    qps: float
    """Samples per second."""
    latency_s: float
    """Latency of a query."""


def hints(*, rate: float, latency_s: float) -> Hints:
    """Hints for a predictor of this rate (samples per second) and latency of a batch, with the harness around it."""
    return Hints(qps=1 / (1 / rate + HARNESS_SAMPLE_S), latency_s=max(latency_s, HARNESS_QUERY_S))


def offline_margin(duration_s: float) -> float:
    """Factor on the measured rate, so that the one Offline query is not over before the minimum duration.

    A calibration of some tenths of a second may be off by a good deal, which matters in a short run and evens out in a
    long one: two seconds more, at most half as much again, beside the tenth that LoadGen adds itself.
    """
    return min(1.5, 1 + 2 / duration_s)


def wanted(
    scenario: Scenario,
    known: Hints,
    *,
    min_duration_s: float | None,
    target_qps: float | None,
    equal_issue: bool = False,
    bound_ms: int | None = None,
    min_query_count: int | None = None,
) -> dict[str, Any]:
    """Keys of user.conf for a run, without `<model>.<scenario>.`; times in ms.

    equal_issue: of a model that has it. bound_ms: on Server's latency, where it is not mlperf.conf's. min_query_count:
    that of a round, where the run must reach it.

    A run shorter than the official 600 s also gets a smaller minimum of samples or queries, because mlperf.conf's
    would prolong it again; MultiStream's 662 queries stay, without them early stopping has no estimate. A round's
    count stays, too.
    """
    keys: dict[str, Any] = {}
    duration_s = OFFICIAL_DURATION_MS / 1000 if min_duration_s is None else min_duration_s
    if min_duration_s is not None:
        keys["min_duration"] = round(min_duration_s * 1000)
    short = duration_s * 1000 < OFFICIAL_DURATION_MS
    if scenario is Scenario.OFFLINE:
        qps = target_qps or known.qps * offline_margin(duration_s)
        keys["target_qps"] = f"{qps:.6g}"
        if short:
            keys["min_query_count"] = min(24576, max(1, ceil(round(qps * duration_s, 3))))
    elif scenario is Scenario.SERVER:
        keys["target_qps"] = f"{target_qps or known.qps * SERVER_SHARE:.6g}"
        if bound_ms is not None:
            keys["target_latency"] = bound_ms
        if short:
            keys["min_query_count"] = SERVER_QUERIES
    else:
        equal = equal_issue and scenario is Scenario.SINGLE_STREAM
        margin = EQUAL_ISSUE_MARGIN if equal else STREAM_MARGIN
        keys["target_latency"] = f"{known.latency_s * 1000 * margin:.6g}"
        if short and equal:
            keys["min_query_count"] = STREAM_QUERIES
    if min_query_count is not None:
        keys["min_query_count"] = max(min_query_count, keys.get("min_query_count", 0))
    return keys


def user_conf(model: str, scenario: Scenario, keys: Mapping[str, Any], given: str = "") -> str:
    """The text of user.conf: the user's own file, then each of *keys* that it does not set.

    A comment's # must stand by itself, and = between blanks, or LoadGen skips the line or refuses the whole file.
    """
    taken = {line.split()[0] for line in given.splitlines() if "=" in line.split()}
    lines = [line for line in given.splitlines() if line.strip()]
    lines.append("# measured before the run, or asked for on the command line; times in ms")
    for key, value in keys.items():
        names = {f"{m}.{s}.{key}" for m in (model, "*") for s in (scenario.value, "*")}
        if not names & taken:
            lines.append(f"{model}.{scenario.value}.{key} = {value}")
    return "\n".join(lines) + "\n"


def loadgen_settings(
    conf: Path,
    text: str,
    *,
    model: str,
    scenario: Scenario,
    mode: Mode,
    samples: int,
    seeds: Mapping[str, int | None],
) -> lg.TestSettings:
    """Write user.conf to *conf* and read it over LoadGen's own settings. Once in a process.

    LoadGen reads its embedded mlperf.conf only at the first such call of a process, so a second one would silently run
    with other seeds. samples: size of the data set, to which the performance set is cut. seeds: those that are not
    mlperf.conf's, by the field's name; no file can set them. Raises UsageError.
    """
    write_atomically(conf, text.encode())
    settings = lg.TestSettings()
    settings.scenario = SCENARIOS[scenario]
    settings.mode = MODES[mode]
    code = settings.FromConfig(str(conf), model, scenario.value, 1)
    if code:
        hint = "Each line is `model.scenario.key = value`; the # of a comment stands by itself."
        raise UsageError(f"LoadGen refuses {conf}: error {code}", hint=hint)
    # `scenario` is never read from a file, but `mode` is, and a user.conf must not turn one kind of run into the other.
    settings.mode = MODES[mode]
    for name, seed in seeds.items():
        if seed is not None:
            setattr(settings, name, seed)
    wished = settings.performance_sample_count_override
    settings.performance_sample_count_override = min(wished or samples, samples)
    return settings


def end_early(settings: lg.TestSettings, most_waiting: float) -> None:
    """Have a Server run end, with an error entry, when as many queries wait as come in *most_waiting* latency bounds.

    By Little's law queries take that long then, and at a rate above the capacity ever longer. A limit of the user's own
    stays.
    """
    if not settings.server_max_async_queries:
        expected = settings.server_target_qps * settings.server_target_latency_ns / 1e9
        settings.server_max_async_queries = max(LEAST_WAITING, ceil(most_waiting * expected))


@dataclass(frozen=True, slots=True)
class Generated:
    """Queries that LoadGen makes before a performance test, or somewhat more."""

    queries: float
    samples_per_query: float

    @property
    def samples(self) -> float:
        """In all queries."""
        return self.queries * self.samples_per_query


def generated(settings: lg.TestSettings, scenario: Scenario) -> Generated:
    """What LoadGen will make of these settings. Source: mlcommons/inference, loadgen/test_settings_internal.cc."""
    duration_s, least = settings.min_duration_ms / 1000, settings.min_query_count
    if scenario is Scenario.OFFLINE:
        return Generated(1, max(least, OFFLINE_SLACK * duration_s * settings.offline_expected_qps))
    if scenario is Scenario.SERVER:
        return Generated(max(least, duration_s * settings.server_target_qps), 1)
    single = scenario is Scenario.SINGLE_STREAM
    latency_ns = settings.single_stream_expected_latency_ns if single else settings.multi_stream_expected_latency_ns
    queries = max(least, STREAM_SLACK * duration_s * 1e9 / max(1, latency_ns))
    return Generated(queries, 1 if single else settings.multi_stream_samples_per_query)


def facts(settings: lg.TestSettings, scenario: Scenario) -> dict[str, Any]:
    """The settings that LoadGen will use, for the result."""
    shared = {
        "min_duration_ms": settings.min_duration_ms,
        "min_query_count": settings.min_query_count,
        "performance_sample_count": settings.performance_sample_count_override,
        "sample_concatenate_permutation": bool(settings.sample_concatenate_permutation),
    }
    if scenario is Scenario.OFFLINE:
        return {"target_qps": settings.offline_expected_qps, **shared}
    if scenario is Scenario.SERVER:
        latency = settings.server_target_latency_ns
        return {"target_qps": settings.server_target_qps, "target_latency_ns": latency, **shared}
    stream = "single_stream" if scenario is Scenario.SINGLE_STREAM else "multi_stream"
    return {"target_qps": None, "expected_latency_ns": getattr(settings, f"{stream}_expected_latency_ns"), **shared}
