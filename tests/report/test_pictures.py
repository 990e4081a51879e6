"""Pictures: what is drawn of which runs, and where."""

import re
from pathlib import Path

import pytest

from mlperf_docker.report import distribution, pictures
from mlperf_docker.report.picture import Picture, Shape
from mlperf_docker.results.values import RunResult
from tests.report.test_page import named, page
from tests.results.run_results import ENERGY, write_run


def server(rate: float, p99_ms: float, *, valid: bool) -> RunResult:
    return named(
        f"at-{rate:g}",
        scenario="Server",
        valid=valid,
        settings={"target_qps": rate, "target_latency_ns": 15_000_000},
        latency_ns={"mean": 1e6, "p50": 1e6, "p90": 1e6, "p99": p99_ms * 1e6},
    )


def offline(day: int, value: float | None, image: str = "aaa", *, valid: bool = True) -> RunResult:
    metric = {"name": "result_samples_per_second", "value": value, "unit": "samples/s"}
    tag = {"tag": f"r/resnet50:onnxruntime-cpu-{image}", "id": f"sha256:{image}", "base": "debian"}
    return named(f"202601{day:02}T000000.000-a", metric=metric, image=tag, valid=valid)


def series(found: Picture | None) -> dict[str, list[tuple[float, float]]]:
    assert found is not None
    return {each.name: [(point.x, point.y) for point in each.points] for each in found.series}


def with_logs(root: Path, scenario: str, values: dict[str, int], trace: str = "") -> RunResult:
    """A run with logs of its own."""
    result = write_run(root, "run", scenario=scenario)
    entries = (f':::MLLOG {{"key": "{key}", "value": {value}}}\n' for key, value in values.items())
    Path(result.results_dir, "mlperf_log_detail.txt").write_text("".join(entries))
    Path(result.results_dir, distribution.TRACE).write_text(trace)
    return result


PERCENTILES = {"result_50.00_percentile_latency_ns": 2_000_000, "result_99.90_percentile_latency_ns": 9_000_000}


def test_rates_are_drawn_by_verdict_with_the_bound_and_the_highest_valid() -> None:
    runs = [server(300, 14, valid=True), server(400, 90, valid=False), server(100, 2, valid=True)]
    found = pictures.rates(runs)
    assert series(found) == {"VALID": [(100, 2), (300, 14)], "INVALID": [(400, 90)]}
    assert found is not None
    assert [(rule.value, rule.upright) for rule in found.rules] == [(15, False), (300, True)]
    assert "400/s: p99 90.000 ms, INVALID" in found.said


@pytest.mark.parametrize(("p99_ms", "label"), [(14.0, "p99, ms"), (900.0, "p99, ms (log)")])
def test_an_axis_is_logarithmic_where_values_are_far_apart(p99_ms: float, label: str) -> None:
    found = pictures.rates([server(rate, p99, valid=True) for rate, p99 in ((1, 10), (2, 12), (3, p99_ms))])
    assert found is not None
    assert found.y.label == label
    assert all(found.top <= place <= found.bottom for place, _ in found.rows())


def test_two_rates_are_no_curve() -> None:
    assert pictures.rates([server(300, 14, valid=True), server(400, 90, valid=False)]) is None
    assert pictures.rates([server(300, 14, valid=True)] * 3) is None
    assert pictures.rates([offline(day, 5) for day in (1, 2, 3)]) is None


def test_figures_over_time_show_where_the_image_changed() -> None:
    runs = [offline(1, 50), offline(2, 70, valid=False), offline(3, None), offline(4, 90, "bbb")]
    found = pictures.over_time(runs)
    assert series(found) == {"all runs": [(1, 50), (2, 70), (3, 90)], "INVALID": [(2, 70)]}
    assert found is not None
    assert [(rule.value, rule.label) for rule in found.rules] == [(2.5, "image bbb")]
    assert [text for _, text in found.columns()] == ["01-01 00:00", "01-02 00:00", "01-04 00:00"]


def test_energies_over_time_are_those_of_runs_that_have_one() -> None:
    energies = [None, 64.0, 128.0, 32.0]
    runs = [
        named(f"202601{day:02}T000000.000-a", energy=joules and {**ENERGY, "joules": joules})
        for day, joules in enumerate(energies, 1)
    ]
    found = pictures.energy(runs)
    assert series(found) == {"": [(1, 1.0), (2, 2.0), (3, 0.5)]}
    assert found is not None
    assert found.y.label == "J/sample"
    assert "1 J/sample, VALID" in found.said
    assert pictures.energy(runs[:3]) is None


def test_latencies_over_time_are_milliseconds() -> None:
    metric = {"name": "early_stopping_latency_ss", "value": 3_000_000, "unit": "ns"}
    runs = [named(name, scenario="SingleStream", metric=metric) for name in "abc"]
    found = pictures.over_time(runs)
    assert found is not None
    assert found.y.label == "ms"
    assert {y for _, y in series(found)[""]} == {3}


def test_a_latency_distribution_is_read_from_the_logs(tmp_path: Path) -> None:
    lines = [
        f'{{"name":"Sample","args":{{"sample_seq":{number},"query_seq":{number // 2},"complete_ns":{1000 * number}}}}},'
        for number in range(60)
    ]
    keys = {
        **PERCENTILES,
        "result_50.00_percentile_per_query_latency_ns": 7,
        "effective_target_latency_ns": 15_000_000,
    }
    result = with_logs(tmp_path, "Server", keys, "\n".join(lines))
    found = distribution.read(result)
    assert found is not None
    assert found.percentiles == ((50.0, 2_000_000), (99.9, 9_000_000))
    assert found.bound == 15_000_000
    assert found.queries == tuple(range(1000, 60_000, 2000))
    drawn = pictures.histogram(found)
    assert drawn is not None
    (bars,) = drawn.series
    assert bars.shape is Shape.BARS
    assert sum(point.y for point in bars.points) == 30
    assert [rule.value for rule in pictures.percentiles(found).rules] == [15]


def test_queries_of_several_samples_have_percentiles_of_their_own(tmp_path: Path) -> None:
    keys = {**PERCENTILES, "result_50.00_percentile_per_query_latency_ns": 7_000_000}
    found = distribution.read(with_logs(tmp_path, "MultiStream", keys))
    assert found is not None
    assert found.percentiles == ((50.0, 7_000_000),)
    assert found.queries == ()
    assert pictures.histogram(found) is None


@pytest.mark.parametrize("scenario", ["Offline", "Server"])
def test_a_run_without_a_distribution_has_no_picture(tmp_path: Path, scenario: str) -> None:
    keys = PERCENTILES if scenario == "Offline" else {}
    assert distribution.read(with_logs(tmp_path, scenario, keys)) is None


def test_pictures_are_in_the_page_and_stay_inside_their_frames(tmp_path: Path) -> None:
    runs = [server(rate, rate / 10, valid=rate < 300) for rate in (100, 200, 300, 400)]
    found = page(*runs, with_logs(tmp_path, "SingleStream", PERCENTILES))
    assert found.texts("figcaption") == ["Figures over time", "p99 by rate", "Latency by percentile"]
    images = found.of("svg", role="img")
    titles = dict(zip([each["id"] for each, _ in found.of("title") if "id" in each], images, strict=True))
    assert {each["aria-labelledby"] for each, _ in images} == set(titles)
    for circle, _ in found.of("circle", r="3.5"):
        assert 64 <= float(circle["cx"] or 0) <= 624
        assert 14 <= float(circle["cy"] or 0) <= 214
    for line, _ in found.of("polyline"):
        assert re.fullmatch(r"(\d+(\.\d+)?,\d+(\.\d+)? ?)+", line["points"] or "")


def test_a_hostile_name_in_a_picture_is_text() -> None:
    hostile = "<script>alert(1)</script>"
    image = {"tag": f"r/x:{hostile}", "id": hostile, "base": "debian"}
    runs = [offline(1, 1), offline(2, 2).model_copy(update={"image": None}), offline(3, 3)]
    metric = {"name": "x", "value": 4.0, "unit": hostile}
    runs += [named(f"2026010{day}T000000.000-a", metric=metric, image=image) for day in (4, 5)]
    assert not page(*runs).of("script")
