"""Results and tables as text for people."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlperf_docker import datasets, printable
from mlperf_docker.comparison import METRIC, Comparison
from mlperf_docker.errors import FolderError
from mlperf_docker.model_files import Official, size_text
from mlperf_docker.results import Metric, RunResult
from mlperf_docker.sizes import readable
from mlperf_docker.spec import DatasetFile, DatasetSeries, DatasetSpec, ImageSpec
from mlperf_docker.tables import fitted

if TYPE_CHECKING:
    from mlperf_docker.bundle.manifest import Manifest
    from mlperf_docker.dataset_fetching import Outcome
    from mlperf_docker.evidence import Entry

NO_BENCHMARK = "not a benchmark result"
_NS_PER_MS = 1e6
_LONGEST_FACT = 500
_LONGEST_LINE = 2000
_DIFFERENCES_SHOWN = 100
_SHA256 = re.compile(r"(sha256:)?[0-9a-f]{64}")


def _fact_lines(facts: Iterable[tuple[str, str]], width: int) -> str:
    """A line for each fact, with its name in *width* columns."""
    return "\n".join(
        f"{name + ':' if name else '':<{width}}{printable.shortened(value, _LONGEST_LINE)}" for name, value in facts
    )


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The same as a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


RESULT_HEADER = ("run", "cell", "precision", "scenario", "mode", "data", "verdict", "figure")
RESULT_ORDER = ("run", "verdict", "figure", "cell", "scenario", "mode", "data", "precision")
"""The same by importance."""


def result_line(result: RunResult) -> tuple[str, ...]:
    """One row of `results list`."""
    return (
        result.name,
        result.cell,
        result.precision,
        result.scenario,
        result.mode,
        "synthetic" if result.synthetic else "real",
        verdict(result),
        figure(result),
    )


def verdict(result: RunResult) -> str:
    """VALID or INVALID, LoadGen's own words."""
    return "VALID" if result.valid else "INVALID"


def figure(result: RunResult) -> str:
    """The figure that the run was made for: the scenario's metric, or the accuracy."""
    if result.accuracy is not None:
        return f"{result.accuracy.metric} {result.accuracy.value:.4f} (target {result.accuracy.target:.4f})"
    if result.metric is not None:
        return metric_text(result.metric)
    return "-"


def metric_text(metric: Metric) -> str:
    """The metric with its unit; a latency in milliseconds."""
    return milliseconds(metric.value) if metric.unit == "ns" else f"{metric.value:.6g} {metric.unit}"


def milliseconds(latency_ns: float) -> str:
    """A latency for people."""
    return f"{latency_ns / _NS_PER_MS:.3f} ms"


def result_text(result: RunResult) -> str:
    """A result in full, a line per fact, the verdict first and the folder last."""
    return _fact_lines(_facts(result), 13)


def _facts(result: RunResult) -> Iterable[tuple[str, str]]:
    yield "Result", f"{verdict(result)}{f' (synthetic: {NO_BENCHMARK})' if result.synthetic else ''}"
    yield from (("", printable.shortened(reason, _LONGEST_FACT)) for reason in result.reasons)
    yield "Cell", f"{result.model} on {result.backend} ({result.device}, {result.precision})"
    yield "Run", f"{result.scenario}, {result.mode}, {result.samples} samples"
    if result.metric is not None:
        yield "Metric", f"{metric_text(result.metric)} ({result.metric.name})"
    if result.latency_ns is not None:
        parts = result.latency_ns.named().items()
        yield "Latency", ", ".join(f"{name} {milliseconds(value)}" for name, value in parts)
    if result.accuracy is not None:
        yield "Accuracy", figure(result)
    yield "Device", _proof(result.device_proof)
    yield "Versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())
    if result.image is not None:
        yield "Image", f"{result.image.tag} ({result.image.id[:19]})"
        yield "Base", result.image.base
    if result.results_dir:
        yield "Results", result.results_dir


def _proof(proof: Mapping[str, Any]) -> str:
    """The proof's plain facts; lists and tables are for programs."""
    return ", ".join(f"{key} {value}" for key, value in proof.items() if isinstance(value, str | int | float))


def fact_text(value: object) -> str:
    """A fact of a result for people: what is absent as a dash, numbers and lists as JSON."""
    said = value if isinstance(value, str) or value is None else json.dumps(value, ensure_ascii=False)
    return printable.shortened(said, _LONGEST_FACT) if said else "-"


def brief_text(value: object) -> str:
    """The same, a hash by its beginning."""
    return fact_text(value[:19] if isinstance(value, str) and _SHA256.fullmatch(value) else value)


def comparison_text(comparison: Comparison, columns: int | None = None) -> str:
    """What `results compare` prints: the runs by number, their figures side by side, and the facts that differ.

    columns: the terminal's width, or None for a pipe.
    """
    numbers = [f"#{number}" for number, _ in enumerate(comparison.results, 1)]
    lines = [
        line for number, result in zip(numbers, comparison.results, strict=True) for line in _named(number, result)
    ]
    if comparison.obstacles:
        obstacles = (f"{name} is {', '.join(map(str, values))}" for name, values in comparison.obstacles.items())
        obstacle = printable.one_line("; ".join(obstacles))
        lines += ["", f"Not the same benchmark, so not comparable: {obstacle}."]
    lines += ["", fitted(("figure", *numbers), _figures(comparison), columns)]
    every = comparison.differing()
    shown = list(every.items())[:_DIFFERENCES_SHOWN]
    differing = [(printable.shortened(key, _LONGEST_FACT), *map(brief_text, values)) for key, values in shown]
    lines += ["", fitted(("differs", *numbers), differing, columns) if differing else "Nothing else differs."]
    lines += [f"… and {len(every) - len(shown):,} more: --json has them."] if len(every) > len(shown) else []
    return "\n".join(lines)


def _named(number: str, result: RunResult) -> Iterable[str]:
    said = f"{verdict(result)}{f' (synthetic: {NO_BENCHMARK})' if result.synthetic else ''}"
    yield printable.one_line(f"{number}  {result.name}  {said}")
    yield from (f"    {printable.shortened(reason, _LONGEST_FACT)}" for reason in result.reasons)


def _figures(comparison: Comparison) -> Iterable[tuple[str, ...]]:
    better = {True: " (higher is better)", False: " (lower is better)", None: ""}[comparison.higher_is_better]
    for each in comparison.figures():
        texts = map(_with_ratio, each.values, (None, *each.ratios[1:]))
        yield f"{each.name}{better if each.name == METRIC else ''}", *texts
    if any(result.accuracy for result in comparison.results):
        yield "accuracy", *(figure(result) if result.accuracy else "-" for result in comparison.results)


def _with_ratio(metric: Metric | None, ratio: float | None) -> str:
    said = metric_text(metric) if metric else "-"
    return said if ratio is None else f"{said} ({ratio:.4g} x)"


def spec_text(spec: ImageSpec) -> str:
    """A cell in full: what it measures, on what, and which official files it takes."""
    return _fact_lines(_spec_facts(spec), 13)


def _spec_facts(spec: ImageSpec) -> Iterable[tuple[str, str]]:
    model = spec.model
    yield "Cell", str(spec)
    yield "Benchmark", f"{model.title} ({model.loadgen_key} in mlperf.conf)"
    yield "Precisions", ", ".join(spec.precisions)
    yield "Scenarios", ", ".join(model.scenarios)
    accuracy = model.accuracy
    yield "Accuracy", f"{accuracy.metric} {accuracy.reference} {accuracy.unit}, target {accuracy.target}"
    yield "Data set", f"{model.dataset.title}: {model.dataset.count} samples, {model.dataset.marker} in its folder"
    for file in model.files:
        if file.backend is spec.backend:
            yield "Model file", f"{file.name} ({file.precision}, {file.format}) {file.urls[0]}"
    recorded = spec.base.recorded
    yield "Base", f"{spec.base.pinned} ({f'recorded {recorded}' if recorded else 'not confirmed by a registry yet'})"
    yield "Dockerfile", f"dockerfiles/{spec.dockerfile}"


OFFICIAL_HEADER = ("model", "backend", "precision", "format", "state", "size", "checksum", "note", "path")
OFFICIAL_ORDER = ("model", "backend", "state", "size", "precision", "format", "note", "checksum", "path")
"""The same by importance."""


def official_line(official: Official) -> tuple[str, ...]:
    """One row of `models list`, in the order of OFFICIAL_HEADER. No size is published, so only a file here has one."""
    file, checksum = official.file, official.checksum
    return (
        official.model.name,
        file.backend,
        file.precision,
        file.format,
        official.state,
        size_text(official.path),
        f"{checksum.algorithm} {checksum.value[:8]}…" if checksum else "-",
        file.note.partition(";")[0] or "-",
        str(official.path),
    )


def official_fields(official: Official) -> dict[str, Any]:
    """The same for programs, with everything that the catalog knows of the file."""
    file, path = official.file, official.path
    return {
        "model": official.model.name,
        "backend": file.backend,
        "precision": file.precision,
        "format": file.format,
        "name": file.name,
        "urls": list(file.urls),
        "md5": file.md5,
        "sha256": file.sha256,
        "reported": file.reported,
        "note": file.note,
        "first": official.first,
        "path": str(path),
        "state": official.state,
        "size_bytes": path.stat().st_size if path.is_file() else None,
    }


def dataset_text(dataset: DatasetSpec, models: Sequence[str]) -> str:
    """One data set of `data list`, a line per fact."""
    facts = [
        ("Data set", f"{dataset.name}: {dataset.title}"),
        ("For", ", ".join(models)),
        ("Samples", str(dataset.count)),
        ("Source", dataset.source),
        ("Licence", dataset.licence),
        ("Marker", f"{dataset.marker}, which its folder must have"),
        *((("Note", dataset.note),) if dataset.note else ()),
        *(("File", _file_text(each)) for each in dataset.files),
        *(("Series", _series_text(each)) for each in dataset.series),
        ("Fetch", f"mlperf-docker data fetch {dataset.name} [DIR]"),
        ("Place", _place_text(dataset)),
    ]
    return _fact_lines(facts, 10)


def _place_text(dataset: DatasetSpec) -> str:
    try:
        return f"{datasets.place(dataset)}, unless DIR is named"
    except FolderError as error:
        return f"none without DIR. {error}"


def _file_text(file: DatasetFile) -> str:
    unpacked = f"unpacked to {', '.join(file.members.values())}" if file.members else "unpacked"
    facts = (
        "needs an account" if file.account else "",
        "optional" if file.optional else "",
        unpacked if file.archive else "",
        file.note,
    )
    return f"{file.name} {file.urls[0]}{_in_brackets(facts)}"


def _series_text(series: DatasetSeries) -> str:
    count = f"{len(series.items)} files" if series.items else f"those in {series.listed_in}"
    return f"{series.name} {series.urls[0]}{_in_brackets((count, series.note))}"


def _in_brackets(facts: Iterable[str]) -> str:
    said = "; ".join(fact for fact in facts if fact)
    return f" ({said})" if said else ""


def fetched_text(outcome: "Outcome") -> str:
    """What `data fetch` did, and the command that comes next."""
    new, size = sum(part.new for part in outcome.parts), sum(part.size_bytes for part in outcome.parts)
    names = ", ".join(f"{part.name} ({part.files})" if part.files > 1 else part.name for part in outcome.parts)
    fetched = f"{new} new" if new else "all of it was there"
    unverified = ", ".join(part.name for part in outcome.parts if not part.verified)
    lines = (
        f"{outcome.dataset.title} at {outcome.folder}: {names}; {readable(size)}, {fetched}.",
        f"Not verified, as nobody published checksums: {unverified}." if unverified else "",
        f"Next: {outcome.next}",
    )
    return "\n".join(line for line in lines if line)


def dataset_fields(dataset: DatasetSpec, models: Sequence[str]) -> dict[str, Any]:
    """The same for programs."""
    return {**dataset.model_dump(mode="json"), "models": list(models)}


def verified_text(dataset: DatasetSpec, found: Mapping[str, Any]) -> str:
    """What `data verify` found, one line for the verdict and one for each fact."""
    if found["samples"] is None:
        return f"{dataset.title} seems to be at {found['path']}: {dataset.marker} is there. Nothing else was read."
    whole = "" if found["samples"] == dataset.count else f", of {dataset.count} in the whole set"
    facts = [f"  {name}: {value}" for name, value in found["facts"].items()]
    return "\n".join(
        (f"{dataset.title} at {found['path']}: {found['samples']} samples{whole}; all can be read.", *facts)
    )


def bundle_text(manifest: "Manifest") -> str:
    """What `bundle verify` found whole: a line per image, then what else is in the bundle and what is not."""
    whole = f"{len(manifest.files)} files, {readable(manifest.size_bytes)}: all as they were written"
    files = [f"{file.model}/{file.name} ({readable(file.size_bytes)})" for file in manifest.model_files]
    return "\n".join(
        (
            *(f"{cell.tag}, on {cell.base} ({cell.base_origin})" for cell in manifest.cells),
            *(f"model file {file}" for file in files),
            *(f"model file {name}: not in the bundle" for name in manifest.missing),
            f"{whole} by mlperf-docker {manifest.version}, commit {manifest.revision}.",
        )
    )


EVIDENCE_HEADER = ("cell", "precision", "data", "image", "performance", "accuracy", "parity", "gpu")
EVIDENCE_ORDER = ("cell", "performance", "accuracy", "parity", "data", "gpu", "precision", "image")
"""The same by importance."""


def evidence_line(entry: "Entry") -> tuple[str, ...]:
    """One row of what `evidence` put on record, in the order of EVIDENCE_HEADER."""
    built, speed, score, parity = entry.built, entry.performance, entry.accuracy, entry.parity
    sizes = dict.fromkeys(each.data for each in (speed, score, parity) if each is not None)
    return (
        entry.cell,
        entry.precision,
        ", ".join(sizes) or "-",
        readable(built.size_bytes) if built else "-",
        f"{speed.value:.6g} {speed.unit}{'' if speed.passed else ' INVALID'}" if speed else "-",
        f"{score.metric} {score.value:.4f}{'' if score.passed else f', not {score.target:.4f}'}" if score else "-",
        f"{parity.largest_difference:.1e}{'' if parity.passed else ' too far'}" if parity else "-",
        entry.gpu or "-",
    )
