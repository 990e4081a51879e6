"""Implementation that made the runs of an entry: our harness, or the reference implementation out of a checkout."""

from collections.abc import Iterable, Iterator

from mlperf_docker.reference.checkout import URL
from mlperf_docker.results.values import HarnessUsed, RunResult

REFERENCE = "REFERENCE"
"""What stands for the folder of the checkout, which is one of the host that ran."""


def text(harness: HarnessUsed | None) -> str:
    """Return in words whose code ran, and which commit of it."""
    if harness is None:
        return "mlperf-docker's own harness"
    return f"the reference implementation, {URL} at commit {harness.commit or 'unknown'}{changes(harness)}"


def changes(harness: HarnessUsed) -> str:
    """Return what the commit does not tell, in words; nothing where it tells all."""
    if harness.changed is False:
        return ""
    return f" with other files than the commit's ({harness.content or 'which are not known'})"


def all_of(runs: Iterable[RunResult]) -> list[str]:
    """Return whose code made *runs*, each once."""
    return list(dict.fromkeys(text(run.harness) for run in runs))


def notes(runs: Iterable[RunResult]) -> Iterator[str]:
    """Yield what a reader needs to know of the folder that stands as REFERENCE in the commands of *runs*."""
    found = {run.harness.commit: run.harness for run in runs if run.harness is not None}
    for commit, harness in found.items():
        yield f"{REFERENCE} is a checkout of {URL} at commit {commit or 'unknown'}{changes(harness)}."
