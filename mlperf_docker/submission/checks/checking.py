"""Check of a whole tree against a round: every finding of every subject, and what the tree holds."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlperf_docker.rounds.loading import Rounds
from mlperf_docker.rounds.round import Round
from mlperf_docker.rounds.words import Division
from mlperf_docker.submission.checks import (
    accuracy,
    compliance,
    hygiene,
    measurements,
    performance,
    scenarios,
    synthetic,
    systems,
)
from mlperf_docker.submission.checks.documents import Documents
from mlperf_docker.submission.checks.examined import ExaminedTree
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.findings import TreeFinding, in_order
from mlperf_docker.submission.checks.tree import SubmissionTree
from mlperf_docker.submission.layout import DETAIL

CHECKS: tuple[Callable[[ExaminedTree], Iterator[TreeFinding]], ...] = (
    hygiene.check,
    systems.check,
    measurements.check,
    scenarios.check,
    performance.check,
    accuracy.check,
    compliance.check,
    synthetic.check,
)
_SEEDS = ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed")


@dataclass(frozen=True)
class TreeVerdict:
    """Verdict on a tree."""

    root: Path
    round: Round
    round_from: str
    """What the round was taken from."""
    entries: int
    """Scenarios with results."""
    findings: tuple[TreeFinding, ...]
    synthetic: bool
    """Whether there are marks of synthetic data, allowed or not."""

    @property
    def errors(self) -> tuple[TreeFinding, ...]:
        """Findings that the tree would be refused for."""
        return tuple(finding for finding in self.findings if finding.is_error)

    @property
    def passes(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.errors


def check(root: Path, rounds: Rounds, name: str = "", *, allow_synthetic: bool = False) -> TreeVerdict:
    """Check the tree at *root* against the round *name*, or else the one whose seeds its logs have. Reads only.

    Raises UsageError where there is no tree to read, or no such round.
    """
    tree = SubmissionTree.scan(root)
    documents = Documents(tree)
    round_, source = (rounds.find(name), "") if name else _recognised(tree, documents, rounds)
    examined = ExaminedTree(tree, round_, documents)
    found = [finding for each in CHECKS for finding in each(examined)]
    marks = [finding for finding in found if finding.fault is Fault.SYNTHETIC]
    kept = [finding for finding in found if not (allow_synthetic and finding in marks)]
    findings = in_order((*kept, *documents.findings))
    return TreeVerdict(root, round_, source, len(examined.entries), findings, bool(marks))


def _recognised(tree: SubmissionTree, documents: Documents, rounds: Rounds) -> tuple[Round, str]:
    """Return the round that most performance logs have the seeds of, and how it was found; else the newest."""
    by_seeds = {tuple(getattr(each.seeds, name) for name in _SEEDS): each for each in rounds.all}
    votes: Counter[str] = Counter()
    for path in _performance_logs(tree):
        log = documents.log(path)
        seeds = tuple((log.values if log else {}).get(f"effective_{name}") for name in _SEEDS)
        if all(isinstance(seed, int) for seed in seeds) and seeds in by_seeds:
            votes[by_seeds[seeds].name] += 1
    if not votes:
        return rounds.newest, "the newest, as no log has the seeds of one"
    return rounds.find(votes.most_common(1)[0][0]), "by the seeds of its logs"


def _performance_logs(tree: SubmissionTree) -> Iterator[PurePosixPath]:
    """Yield the detail logs of performance runs, which are in one place in all layouts."""
    for division in Division:
        for node in tree.below(division):
            path = PurePosixPath(node.path)
            if path.name == DETAIL and path.parts[2:3] == ("results",) and path.parts[-3] == "performance":
                yield path
