"""Coverage table of the README, generated from evidence.json."""

from collections.abc import Sequence

from mlperf_docker.catalog.spec import AbsentCell, ImageSpec
from mlperf_docker.display.tables import markdown_table
from mlperf_docker.evidence.records import LARGEST_DIFFERENCE, AnyFinding, Entry, Record, RunFinding

_LETTERS = {"built": "B", "performance": "P", "accuracy": "A", "parity": "X"}
_NOT_RUN = "not run"
_NOT_OFFERED = "not offered"


def coverage(cells: Sequence[ImageSpec | AbsentCell], record: Record) -> str:
    """Return the table as Markdown, a row for each model and a column for each backend and device, and its legend."""
    variants = list(dict.fromkeys((cell.backend, cell.device) for cell in cells))
    rows: dict[str, list[str]] = {}
    for cell in cells:
        text = _letters(cell, record.of(cell)) if isinstance(cell, ImageSpec) else _NOT_OFFERED
        rows.setdefault(cell.model.name, [cell.model.name]).append(text)
    header = ["model", *(f"{backend} {device}" for backend, device in variants)]
    absent = [cell for cell in cells if isinstance(cell, AbsentCell)]
    return "\n".join([markdown_table(header, rows.values()), "", *_legend(record), *_reasons(absent)])


def _reasons(cells: Sequence[AbsentCell]) -> list[str]:
    """Return a line for each reason why cells are not offered, with their backends and devices."""
    variants: dict[str, dict[str, None]] = {}
    for cell in cells:
        variants.setdefault(cell.reason, {})[f"{cell.backend} {cell.device}"] = None
    return [f"{_NOT_OFFERED} ({', '.join(names)}): {reason}" for reason, names in variants.items()]


def _legend(record: Record) -> list[str]:
    """Return the lines that explain the letters, with what the record says of parity and GPUs as a whole."""
    parities = [entry.parity for entry in record.entries if entry.parity is not None]
    worst = f" (largest of all: {max(each.largest_difference for each in parities):.1e})" if parities else ""
    gpus = ", ".join(sorted({entry.gpu for entry in record.entries if entry.gpu}))
    return [
        "B: the image was built. P: a performance run was valid. A: an accuracy run reached its value.",
        f"X: raw outputs on the same weights as those of the other backends, within {LARGEST_DIFFERENCE:g}{worst}.",
        f"G: it ran on a GPU{f' ({gpus})' if gpus else ''}. ✗: it was tried and failed.",
        "Capitals: the network in its full size; small letters: `--synthetic tiny`; bold: real data.",
        f"{_NOT_RUN}: nothing is on record.",
        "Written by `mlperf-docker evidence`; dates, versions and figures are in `evidence.json`.",
    ]


def _letters(spec: ImageSpec, entries: Sequence[Entry]) -> str:
    parts = []
    for entry in entries:
        letters = [_letter(name, each) for name, each in entry.findings().items()] + (["G"] if entry.gpu else [])
        prefix = "" if entry.precision is spec.precisions[0] else f"{entry.precision}: "
        parts.append(prefix + " ".join(letters))
    return "; ".join(parts) or _NOT_RUN


def _letter(name: str, finding: AnyFinding) -> str:
    letter = _LETTERS[name]
    if isinstance(finding, RunFinding):
        letter = {"tiny": letter.lower(), "full": letter, "real": f"**{letter}**"}[finding.data]
    return letter if finding.passed else f"{letter}✗"
