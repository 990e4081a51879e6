"""The report: what is in it, that nothing gets out of it, and where it is written."""

import datetime as dt
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.errors import UsageError
from mlperf_docker.report import page as report
from mlperf_docker.results.store import StoredResults
from mlperf_docker.results.values import RunResult
from tests.results.run_results import ANSWERS, COMPLIANCE, ENERGY, HOST, SCORES, run_result

NOW = dt.datetime(2026, 2, 3, 4, 5, tzinfo=dt.UTC)
VOID = {"meta", "br", "wbr"}
HOSTILE = "</code><script>alert(1)</script>\"'><img src=http://evil.example onerror=x>&amp;"
IMAGE = {
    "tag": "registry.example/mlperf/resnet50:onnxruntime-cpu-0123456789ab",
    "id": f"sha256:{'1' * 64}",
    "base": "debian:bookworm-slim",
    "digest": f"sha256:{'2' * 64}",
}
ACCURACY = {"metric": "top1", "value": 74.12, "target": 75.5, "passed": False}


class Page(HTMLParser):
    """A page's elements in order, each with its attributes and all text in it; fails where tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[int] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for place in self._open:
            self.elements[place][2].append(data)

    def of(self, tag: str, **attributes: str) -> list[tuple[dict[str, str | None], str]]:
        """Attributes and text of the elements of a tag; blanks are folded."""
        return [
            (found, " ".join("".join(data).split()))
            for name, found, data in self.elements
            if name == tag and all(found.get(key) == value for key, value in attributes.items())
        ]

    def texts(self, tag: str, **attributes: str) -> list[str]:
        return [text for _, text in self.of(tag, **attributes)]


def page(*runs: RunResult, left_out: tuple[UsageError, ...] = ()) -> Page:
    return Page(report.render(StoredResults(runs, left_out), NOW))


def named(name: str, **changes: Any) -> RunResult:
    return run_result(results_dir=f"/results/{name}", **changes)


def column(found: Page, name: str) -> list[str]:
    """A column of the summary, and of the tables after it that have one of the same name."""
    return [text for tag in ("th", "td") for text in found.texts(tag, **{"data-label": name})]


def widths(found: Page) -> list[float]:
    return [float((each["width"] or "").rstrip("%")) for each, _ in found.of("rect", **{"class": "length"})]


def test_the_summary_has_every_figure_of_a_run() -> None:
    found = page(named("20260102T030405.678-a", image=IMAGE))
    assert column(found, "Date") == ["2026-01-02 03:04 UTC"]
    assert column(found, "Cell") == ["resnet50 onnxruntime-cpu fp32"]
    assert column(found, "Scenario") == ["Offline, performance"]
    assert column(found, "Data") == ["synthetic: not a benchmark result"]
    assert column(found, "Verdict") == ["VALID"]
    assert column(found, "Metric") == ["123.456 samples/s"]
    assert [column(found, f"{name}, ms") for name in ("p50", "p90", "p99")] == [["1.000"], ["2.000"], ["3.000"]]
    assert column(found, "Accuracy") == ["-"]
    assert column(found, "Image") == [f"{IMAGE['tag']} sha256:{'2' * 12}"]


def test_an_accuracy_is_shown_beside_its_target() -> None:
    missed = named("a", accuracy=ACCURACY, metric=None, latency_ns=None, valid=False, mode="accuracy", synthetic=False)
    reached = named("b", accuracy={**ACCURACY, "value": 76, "passed": True}, mode="accuracy", scenario="SingleStream")
    found = page(missed, reached)
    assert column(found, "Accuracy") == ["top1 76.0000 target 75.5000 reached", "top1 74.1200 target 75.5000 missed"]
    assert column(found, "Verdict") == ["VALID", "INVALID"]
    assert column(found, "Data")[1] == "real"
    assert column(found, "Metric")[1] == column(found, "p99, ms")[1] == "-"


def test_every_score_is_shown_with_its_levels() -> None:
    found = page(named("a", accuracy=SCORES, metric=None, latency_ns=None, valid=False, mode="accuracy"))
    (shown,) = column(found, "Accuracy")
    assert "FID 23.1000 target 23.0000 to 24.0000 reached" in shown
    assert "F1 90.5000 target 89.9653 reached high target 90.7831 missed" in shown
    assert "WER 6.5000 target at most 6.2000 missed" in shown


def test_a_lower_score_may_be_the_better_one() -> None:
    fields = {"mode": "accuracy", "metric": None, "latency_ns": None}
    runs = [named(name, **fields, accuracy={**SCORES, "value": value}) for name, value in (("a", 6.5), ("b", 6.1))]
    assert page(*runs).texts("caption")[0].endswith("(lower is better)")


def test_the_newest_run_is_the_first_and_links_lead_to_sections() -> None:
    names = ("20260101T000000.000-old", "by-hand", "20260301T000000.000-new", "20260201T000000.000-mid")
    found = page(*map(named, names))
    assert found.texts("code") == [f"/results/{names[place]}" for place in (2, 3, 0, 1)]
    sections = [each["id"] for each, _ in found.of("section")]
    assert sections == ["run-1", "run-2", "run-3", "run-4"]
    assert {each["href"] for each, _ in found.of("a")} == {f"#{name}" for name in sections}
    assert "not known" in column(found, "Date")


def test_a_section_has_settings_versions_proof_model_file_image_and_reasons() -> None:
    result = named(
        "a",
        image=IMAGE,
        valid=False,
        reasons=["only 3 of at least 5 queries were answered"],
        settings={"batch_size": 16, "target_qps": 2141.43, "flag": False},
        device_proof={"provider": "CUDA", "operators": {"CUDAExecutionProvider": 28}, "providers": ["CUDA", "CPU"]},
        model_file={"name": "weights.safetensors", "sha256": "3" * 64},
        round={"name": "v6.1", "counts": False, "why": ["the data are synthetic"]},
        seeds={"qsl_rng_seed": 2085463073848966840},
    )
    found = page(result)
    facts = dict(zip(found.texts("dt"), found.texts("dd"), strict=True))
    assert facts == {
        "batch_size": "16",
        "target_qps": "2141.43",
        "flag": "false",
        "loadgen": "6.0.17",
        "provider": "CUDA",
        "operators.CUDAExecutionProvider": "28",
        "providers": '["CUDA", "CPU"]',
        "name": "weights.safetensors",
        "sha256": "3" * 64,
        **IMAGE,
        "seeds.qsl_rng_seed": "2085463073848966840",
        "a key of tomorrow": "[1]",
    }
    titles = [
        "Settings",
        "Versions",
        "Device proof",
        "Model file",
        "Image",
        "Further",
        "Does not count for v6.1",
    ]
    assert found.texts("h4") == titles
    assert found.texts("li") == ["only 3 of at least 5 queries were answered", "the data are synthetic"]
    assert "/results/a" in found.texts("code")


def test_a_section_has_the_host_in_words_and_its_energy() -> None:
    found = page(named("a", image=None, host=HOST, energy=ENERGY))
    assert found.texts("h4") == ["Versions", "Device proof", "Host", "Energy", "Further"]
    facts = dict(zip(found.texts("dt"), found.texts("dd"), strict=True))
    assert facts["Processor"] == "Big CPU (2 sockets, 8 cores, 16 threads)"
    assert facts["GPUs"] == "2 x NVIDIA L4 (22.49 GiB, 72 W, driver 580.95)"
    assert facts["joules"] == "128.0"
    odd = page(named("a", image=None, host={"processor": "of another version"}))
    assert dict(zip(odd.texts("dt"), odd.texts("dd"), strict=True))["processor"] == "of another version"


def test_a_section_of_a_run_of_the_reference_names_its_commit() -> None:
    found = page(named("a", image=None, harness={"name": "reference", "commit": "c0ffee", "changed": False}))
    assert found.texts("h4") == ["Versions", "Device proof", "Harness", "Further"]
    assert dict(zip(found.texts("dt"), found.texts("dd"), strict=True))["commit"] == "c0ffee"


def test_a_section_of_a_compliance_run_has_its_verdict() -> None:
    held = {"performance_run": "20260101-p", "accuracy_run": "20260101-a"}
    verdict = {**COMPLIANCE, "test": "TEST01", "passed": False, "accuracy": ANSWERS, **held}
    found = page(named("a", compliance=verdict))
    assert "resnet50:onnxruntime-cpu fp32, Offline, TEST01" in found.texts("h3")
    assert {
        "TEST01 not passed",
        "figure 0.950 x that of 20260101-p",
        "12 of 4096 answers differ from those of 20260101-a",
        "scores 90.1000 and 90.2000",
    } <= set(found.texts("li"))


def test_an_older_result_has_no_sections_for_what_it_lacks() -> None:
    assert page(named("a", image=None)).texts("h4") == ["Versions", "Device proof", "Further"]


def test_latencies_are_drawn_from_zero() -> None:
    found = page(named("a", latency_ns={"mean": 3e6, "p50": 2e6, "p90": 4e6, "p99": 8e6}))
    rows = found.texts("tr")[-4:]
    assert rows == ["mean3.000 ms", "p502.000 ms", "p904.000 ms", "p998.000 ms"]
    assert widths(found) == [37.5, 25, 50, 100]
    assert found.texts("caption") == ["Latency of a sample"]
    assert page(named("a", scenario="MultiStream")).texts("caption") == ["Latency of a query"]
    assert not page(named("a", latency_ns=None)).of("svg")


def test_runs_of_one_kind_are_compared_over_time() -> None:
    def run(day: int, value: float, **changes: Any) -> RunResult:
        metric = {"name": "result_samples_per_second", "value": value, "unit": "samples/s"}
        return named(f"202601{day:02}T000000.000-a", metric=metric, latency_ns=None, **changes)

    found = page(run(3, 80, settings={"batch_size": 4}), run(1, 50), run(2, 100), run(4, 9, precision="int8"))
    assert found.texts("caption") == [
        "resnet50:onnxruntime-cpu fp32, Offline, performance, synthetic (higher is better)"
    ]
    assert column(found, "Figure") == ["50 samples/s", "100 samples/s", "80 samples/s"]
    assert column(found, "Ratio") == ["1", "2", "1.6"]
    assert column(found, "Changed") == ["first", "nothing", "settings.batch_size - \N{RIGHTWARDS ARROW} 4"]
    assert widths(found) == [50, 100, 80]


def test_accuracies_over_time_are_drawn_with_their_target() -> None:
    fields = {"mode": "accuracy", "scenario": "SingleStream", "metric": None, "latency_ns": None}
    runs = [named(str(value), **fields, accuracy={**ACCURACY, "value": value, "target": 80}) for value in (40, 60)]
    found = page(*runs)
    assert "(higher is better)" in found.texts("caption")[0]
    assert widths(found) == [50, 75]
    assert [each["x1"] for each, _ in found.of("line")] == ["100.0%"] * 2


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "bert"}, {"backend": "pytorch"}, {"device": "cuda"}, {"precision": "int8"}, {"scenario": "Server"},
        {"mode": "accuracy"}, {"synthetic": False}, {"synthetic_size": "full"}, {"compliance": COMPLIANCE},
    ],
)  # fmt: skip
def test_runs_of_two_kinds_are_not(changes: dict[str, Any]) -> None:
    assert "Over time" not in page(named("a"), named("b", **changes)).texts("h2")


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_figure_without_a_length_has_a_bar_without_one(value: float) -> None:
    latency = {"mean": 1e6, "p50": 1e6, "p90": 1e6, "p99": value}
    assert widths(page(named("a", latency_ns=latency))) == [100, 100, 100, 0]


def test_hostile_strings_are_shown_and_do_nothing() -> None:
    result = named(
        HOSTILE,
        model=HOSTILE,
        reasons=[HOSTILE],
        metric={"name": HOSTILE, "value": 1, "unit": HOSTILE},
        accuracy={**ACCURACY, "metric": HOSTILE},
        image=dict.fromkeys(IMAGE, HOSTILE),
        versions={HOSTILE: HOSTILE},
        device_proof={HOSTILE: [HOSTILE]},
        settings={HOSTILE: {HOSTILE: HOSTILE}},
        round={"name": HOSTILE, "counts": False, "why": [HOSTILE]},
    )
    changed = result.model_copy(update={"settings": {HOSTILE: "other"}})
    html = report.render(StoredResults((result, changed), (UsageError(HOSTILE),)), NOW)
    assert "<script" not in html
    assert "<img" not in html
    found = Page(html)
    harmless = page(named("a", accuracy=ACCURACY), named("b", settings={"b": 1}), left_out=(UsageError("c"),))
    assert {tag for tag, _, _ in found.elements} == {tag for tag, _, _ in harmless.elements}
    names = [{name for _, attributes, _ in each.elements for name in attributes} for each in (found, harmless)]
    assert names[0] == names[1]
    folded = " ".join(HOSTILE.split())
    for tag in ("dt", "dd", "li", "h3", "code", "caption"):
        assert any(folded in text for text in found.texts(tag)), tag


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = report.render(StoredResults((named("a", image=IMAGE),)), NOW)
    found = Page(html)
    links = [
        value for _, attributes, _ in found.elements for name, value in attributes.items() if name in ("src", "href")
    ]
    assert links
    assert all(link and link.startswith("#") for link in links)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _, _ in found.elements}
    (style,) = found.texts("style")
    assert "url(" not in style
    assert "@import" not in style
    assert not any("style" in attributes for _, attributes, _ in found.elements)
    (policy,) = found.of("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy[0]["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_tables_have_headers_and_colours_for_day_and_night() -> None:
    found = page(named("a", image=IMAGE), named("b"))
    for table in ("Summary", "Over time"):
        assert table in found.texts("h2")
    heads = found.of("th")
    assert {each.get("scope") for each, _ in heads} == {"col", "row"}
    assert [text for each, text in heads if each.get("scope") == "col"][:5] == [
        "Date",
        "Cell",
        "Scenario",
        "Data",
        "Verdict",
    ]
    assert found.of("html")[0][0] == {"lang": "en"}
    assert [each for each, _ in found.of("svg") if each.get("aria-hidden") != "true"] == []
    (style,) = found.texts("style")
    light, dark = palettes(style)
    assert light.keys() == dark.keys()
    for palette in (light, dark):
        for name in palette.keys() - {"page", "line", "band", "bar"}:
            assert contrast(palette[name], palette["page"]) >= 4.5, name
        assert contrast(palette["bar"], palette["page"]) >= 3


def palettes(style: str) -> Iterator[dict[str, str]]:
    """The custom properties of the page by day and by night."""
    for block in style.split(":root {")[1:]:
        pairs = (each.split(":") for each in block.partition("}")[0].split(";") if each.strip().startswith("--"))
        yield {name.strip().removeprefix("--"): value.strip().removeprefix("#") for name, value in pairs}


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1 to 21. Source: WCAG 2.2, relative luminance and contrast ratio."""

    def luminance(colour: str) -> float:
        digits = "".join(digit * 2 for digit in colour) if len(colour) == 3 else colour
        parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_results_that_were_left_out_are_named_in_the_report() -> None:
    assert page(named("a"), left_out=(UsageError("r/result.json is half"),)).texts("li") == ["r/result.json is half"]
    assert "Left out" not in page(named("a")).texts("h2")


def test_any_character_is_shown_in_any_locale() -> None:
    html = report.render(StoredResults((named("a", reasons=["größer ≥ 5"], note="\ud800"),)), NOW)
    assert html.isascii()
    assert "größer ≥ 5" in Page(html).texts("li")


def test_a_report_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = report.check_place(tmp_path / "r.html")
    path.write_text("old")
    assert report.write(StoredResults((named("a"),)), path) == path
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_to_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"folder of the report .*/no does not exist"):
        report.check_place(tmp_path / "no" / "r.html")
    with pytest.raises(UsageError, match="is a folder"):
        report.check_place(tmp_path)
    with pytest.raises(OSError, match=r"File name too long: '.*/xxx"):
        report.write(StoredResults((named("a"),)), tmp_path / ("x" * 300))


def test_a_report_has_both_harnesses_side_by_side() -> None:
    reference = {"name": "reference", "commit": "abc", "changed": False}
    html = report.render(StoredResults((run_result(), run_result(harness=reference))), NOW)
    assert "Our harness and the reference implementation" in html
    assert "1.00 x (1.00 to 1.00, 1 rounds)" in html
    assert "the reference implementation" not in report.render(StoredResults((run_result(),)), NOW)
