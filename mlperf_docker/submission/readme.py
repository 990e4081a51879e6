"""READMEs of a tree: what ran, what came out, and how to repeat it."""

from collections.abc import Iterable, Iterator

from mlperf_docker import __version__
from mlperf_docker.display import printable
from mlperf_docker.results import text
from mlperf_docker.results.values import RunResult
from mlperf_docker.submission import implementation, measurements, repeating
from mlperf_docker.submission.entries import EntryRuns
from mlperf_docker.submission.image_records import ImageRecord
from mlperf_docker.submission.layout import SYNTHETIC

_PROJECT = "mlperf-docker"
_MARKED = (
    f"**{SYNTHETIC}: these results were made on synthetic data and weights. They measure no benchmark, and are no"
    " submission.**\n"
)


def synthetic_note() -> str:
    """The note at the root of a tree that was made on synthetic data."""
    return f"# {SYNTHETIC}\n\n{_MARKED}"


def scenario(runs: EntryRuns, source: str) -> str:
    """The README of an entry. source: the folder with what repeats it, from the organisation's."""
    place = runs.place
    inferred = f"Inferred from {runs.inferred_from}: the logs are those of that run.\n" if runs.inferred_from else ""
    parts = (
        f"# {place.benchmark}, {place.scenario}, on {place.system}\n",
        _MARKED if runs.synthetic else "",
        inferred,
        _facts(runs),
        _results(runs),
        _repeat(runs.runs),
        f"Image, locks, bill of materials and results in full: `{source}`.\n",
    )
    return "\n".join(part for part in parts if part)


def _facts(runs: EntryRuns) -> str:
    run = runs.performance
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    weights = measurements.facts(runs.spec, run)["starting_weights_filename"]
    rows = {
        "Model": f"{runs.spec.model.title}, {run.precision}",
        "Weights": weights,
        "Data set": runs.spec.model.dataset.title if not run.synthetic else f"{SYNTHETIC} {run.synthetic_size}",
        "Implementation": implementation.text(run.harness),
        "Runs on": f"{run.backend}, {run.device}",
        "Image": run.image.tag if run.image else "none: the harness ran by itself",
        "Versions": versions,
    }
    return _table(("", ""), rows.items())


def _results(runs: EntryRuns) -> str:
    rows = ((kind, text.verdict(run), text.figure(run)) for kind, run in runs.by_kind.items())
    return _table(("run", "verdict", "figure"), rows)


def _repeat(runs: Iterable[RunResult]) -> str:
    found = tuple(runs)
    lines = "\n".join(repeating.line(run) for run in found)
    notes = "".join(f"\n{note}\n" for note in implementation.notes(found))
    return f"Repeat it with {_PROJECT} {__version__}:\n\n```sh\n{lines}\n```\n{notes}"


def source(benchmark: str) -> str:
    """The README of a benchmark's folder of sources, which is the same on every host."""
    return (
        f"# Sources of {benchmark}\n\nMeasured with {_PROJECT}, whose harness, or the reference implementation where a"
        " system's README says so, runs under LoadGen in a container. There is a folder for each system:\n\n"
        "- `README.md`: whose code ran, images with their ids and digests, the order of the runs;\n"
        "- `repeat.sh`: the commands, one line each;\n"
        "- `image/`: for each image its Dockerfile, the locked requirements with hashes, the bill of materials"
        " (CycloneDX);\n"
        "- `results/`: the result of each run, with settings, versions, host and seeds.\n"
    )


def system_source(runs: list[EntryRuns], images: Iterable[ImageRecord]) -> str:
    """The README of one system's folder of sources. runs: the entries that were measured."""
    place = runs[0].place
    parts = [f"# Sources of {place.benchmark} on {place.system}\n"]
    if any(each.synthetic for each in runs):
        parts.append(_MARKED)
    parts.append(_implementations(runs))
    parts += [_image(each) for each in images]
    parts.append("Every run, in an order in which each finds what it is compared with, is a line of `repeat.sh`.\n")
    parts.append(_table(("scenario", "run", "verdict", "figure"), _rows(runs)))
    return "\n".join(parts)


def _implementations(runs: list[EntryRuns]) -> str:
    """Whose code made the runs of each scenario."""
    return _table(("scenario", "implementation"), ((each.scenario, "; ".join(each.implementations)) for each in runs))


def _rows(runs: list[EntryRuns]) -> Iterator[tuple[str, ...]]:
    for entry in runs:
        for kind, run in entry.by_kind.items():
            yield entry.scenario, kind, text.verdict(run), text.figure(run)


def _image(record: ImageRecord) -> str:
    used = record.used
    rows = {
        "Tag": used.tag,
        "Image id": used.id,
        "Digest": used.digest or "none: it was never in a registry",
        "Base": used.base,
        "Commit": record.revision or "not known on the host that wrote this",
        "Files": ", ".join(f"`image/{record.folder}/{name}`" for name in record.files)
        or "none: the image was not on the host that wrote this",
    }
    return _table(("image", ""), rows.items())


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(words: str) -> str:
    return printable.one_line(str(words)).replace("|", "\\|")
