"""Verdict on a tree as a person reads it, and as JSON."""

import itertools
from collections.abc import Iterator
from typing import Any

from mlperf_docker.display import printable
from mlperf_docker.submission.checks.checking import TreeVerdict
from mlperf_docker.submission.checks.findings import TreeFinding

_MOST_PLACES = 50


def verdict_text(verdict: TreeVerdict, others: str = "") -> str:
    """Return all findings, those with one fix together, and the verdict as the last line, with that of *others*."""
    head = ("This tool's own findings:",) if others and verdict.findings else ()
    return "\n".join((*head, *finding_lines(verdict.findings), last_line(verdict, others)))


def finding_lines(findings: tuple[TreeFinding, ...]) -> Iterator[str]:
    """Yield each fault with its fix, then its places."""
    for fault, group in itertools.groupby(findings, key=lambda finding: finding.fault):
        found = list(group)
        yield f"{fault.severity} {fault.value}: {fault.about}"
        yield f"  fix: {fault.fix}"
        for finding in found[:_MOST_PLACES]:
            yield f"  {printable.one_line(_said(finding))}"
        if len(found) > _MOST_PLACES:
            yield f"  and {len(found) - _MOST_PLACES} more; --json has them all"
        yield ""


def _said(finding: TreeFinding) -> str:
    place = finding.path if finding.what.startswith(f"{finding.key} ") else finding.place
    return f"{place}: {finding.what}" if finding.what else place


def last_line(verdict: TreeVerdict, others: str = "") -> str:
    """Return the verdict in one line, with that of *others*."""
    source = f" ({verdict.round_from})" if verdict.round_from else ""
    about = f"round {verdict.round.name}{source}"
    counted = f"{verdict.entries} result{'' if verdict.entries == 1 else 's'}"
    errors, warnings = len(verdict.errors), len(verdict.findings) - len(verdict.errors)
    told = f"{errors} error{'' if errors == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}"
    told = f"{told}; {others}" if others else told
    note = " The tree was made on synthetic data: it is for trying the tools, and no submission."
    end = note if verdict.synthetic else ""
    if verdict.passes:
        return f"{counted} of {about}: meets this tool's checks; {told}.{end}"
    return f"{counted} of {about}: would be refused; {told}.{end}"


def verdict_fields(verdict: TreeVerdict) -> dict[str, Any]:
    """Return the verdict as JSON has it."""
    return {
        "folder": str(verdict.root),
        "round": verdict.round.name,
        "passes": verdict.passes,
        "synthetic": verdict.synthetic,
        "results": verdict.entries,
        "errors": len(verdict.errors),
        "findings": [finding.fields() for finding in verdict.findings],
    }
