"""Entries of evidence.json as rows of a table."""

from typing import TYPE_CHECKING

from mlperf_docker.contract.scores import bound_text
from mlperf_docker.display.sizes import readable

if TYPE_CHECKING:
    from mlperf_docker.evidence.records import Entry
    from mlperf_docker.results.values import AccuracyScore


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
        "; ".join(map(_score, score.scores)) if score else "-",
        f"{parity.largest_difference:.1e}{'' if parity.passed else ' too far'}" if parity else "-",
        entry.gpu or "-",
    )


def _score(score: "AccuracyScore") -> str:
    missed = "" if score.passed else f", not {bound_text(score.sense, score.target, 4)}"
    return f"{score.metric} {score.value:.4f}{missed}"
