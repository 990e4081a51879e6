"""Check for synthetic data: the note that this tool writes into such a tree, and its results among the sources."""

import json
from collections.abc import Iterator

from mlperf_docker.submission.checks.examined import ExaminedTree
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.findings import TreeFinding
from mlperf_docker.submission.checks.tree import SubmissionTree, TreeNode
from mlperf_docker.submission.layout import SYNTHETIC_NOTE

_LARGEST_RESULT = 2_000_000


def check(examined: ExaminedTree) -> Iterator[TreeFinding]:
    """Yield the note, and each copy of a result that says so."""
    tree = examined.tree
    if str(SYNTHETIC_NOTE) in tree.nodes:
        yield TreeFinding(Fault.SYNTHETIC, str(SYNTHETIC_NOTE), "the tree's own note says so")
    for organisation in examined.organisations:
        for node in tree.below(str(organisation.source)):
            if _is_synthetic_result(tree, node):
                yield TreeFinding(Fault.SYNTHETIC, node.path, "synthetic is true", "synthetic")


def _is_synthetic_result(tree: SubmissionTree, node: TreeNode) -> bool:
    """Tell whether *node* is a result on synthetic data. Other files of a source may be anything."""
    if not node.is_file or not node.name.endswith(".json") or node.size > _LARGEST_RESULT:
        return False
    try:
        content = json.loads(tree.read(node.path, _LARGEST_RESULT))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("synthetic") is True
