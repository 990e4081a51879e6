"""Check of all names of a tree: links, sizes, names, empty folders, and what stands where nothing should."""

import fnmatch
from collections.abc import Iterator

from mlperf_docker.display import printable
from mlperf_docker.rounds.words import Division
from mlperf_docker.submission.checks.examined import ExaminedTree
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.findings import TreeFinding
from mlperf_docker.submission.checks.tree import LARGEST_BYTES, SubmissionTree, TreeNode, TreeNodeKind
from mlperf_docker.submission.layout import Organisation

_OF_KIND = {
    TreeNodeKind.OTHER: Fault.NOT_REGULAR,
    TreeNodeKind.BROKEN_LINK: Fault.LINK_BROKEN,
    TreeNodeKind.OUTSIDE_LINK: Fault.LINK_OUTSIDE,
    TreeNodeKind.LINK: Fault.LINK,
    TreeNodeKind.CLOSED: Fault.UNREADABLE,
}
_ROOT_FILES = ("*.md", "*.pdf")
_ROOT_FOLDERS = ("assets",)
_LAYOUT_FOLDERS = ("code", "src", "measurements", "compliance")
"""Folders of a submitter that not every layout has."""
_POWER_FILES = ("analyzer_table*", "power_settings*")
_OTHERS_FILES = (*_POWER_FILES, "privateid.json")
"""Files that may stand between results/ and the scenarios: those of power runs, and what upstream's checker keeps."""


def check(examined: ExaminedTree) -> Iterator[TreeFinding]:
    """Yield what is wrong with names, kinds and sizes, and with places that the layout does not have."""
    tree = examined.tree
    if not tree.complete:
        yield TreeFinding(Fault.TREE_TOO_LARGE, ".")
    if not examined.entries:
        yield TreeFinding(Fault.NO_RESULTS, ".")
    for node in tree.nodes.values():
        if node.path:
            yield from _node(tree, node)
    yield from _root(tree)
    yield from _organisations(examined)


def _node(tree: SubmissionTree, node: TreeNode) -> Iterator[TreeFinding]:
    path = printable.one_line(node.path)
    if node.kind in _OF_KIND:
        yield TreeFinding(_OF_KIND[node.kind], path)
    if node.size > LARGEST_BYTES:
        yield TreeFinding(Fault.FILE_TOO_LARGE, path, f"{node.size / 2**20:.0f} MB")
    if node.is_folder and not tree.within(node.path) and tree.complete:
        yield TreeFinding(Fault.FOLDER_EMPTY, path)
    if path != node.path:
        yield TreeFinding(Fault.NAME_ODD, path)
    if " " in node.name:
        yield TreeFinding(Fault.NAME_BLANK, path)
    if node.name.startswith("."):
        yield TreeFinding(Fault.NAME_HIDDEN, path)
    if node.name == "__pycache__":
        yield TreeFinding(Fault.BYTECODE, path)


def _root(tree: SubmissionTree) -> Iterator[TreeFinding]:
    """Yield what stands beside the divisions, or beside the submitters in one of them."""
    for node in tree.within(""):
        if node.is_folder and node.name not in (*Division, *_ROOT_FOLDERS):
            yield TreeFinding(Fault.DIVISION_UNKNOWN, printable.one_line(node.path))
        elif not node.is_folder and not _is_any(node.name, _ROOT_FILES):
            yield TreeFinding(Fault.STRAY, printable.one_line(node.path), "a file beside the divisions")
    for division in Division:
        for node in tree.within(division):
            if not node.is_folder:
                yield TreeFinding(Fault.STRAY, printable.one_line(node.path), "a file beside the submitters")


def _organisations(examined: ExaminedTree) -> Iterator[TreeFinding]:
    """Yield folders of other rounds' layouts, and files and folders between results/ and the scenarios' logs."""
    tree, layout = examined.tree, examined.round.layout
    own = {layout.source, layout.measurements.split("/")[0], layout.compliance.split("/")[0]}
    for organisation in examined.organisations:
        for name in tree.folders_in(str(organisation.root)):
            if name in _LAYOUT_FOLDERS and name not in own:
                what = f"round {examined.round.name} has no such folder there"
                yield TreeFinding(Fault.STRAY, str(organisation.root / name), what)
        yield from _without_results(examined, organisation, own - {layout.source, "results"})
    between = (
        *(each.results for each in examined.organisations),
        *(each.results for each in examined.systems),
        *(each.path for each in examined.benchmarks),
    )
    for folder in between:
        yield from _files_between(tree, str(folder))
    for entry in examined.entries:
        yield from _runs(tree, str(entry.entry.performance.parent))


def _without_results(examined: ExaminedTree, organisation: Organisation, beside: set[str]) -> Iterator[TreeFinding]:
    """Yield systems that have folders *beside* results/, and no results."""
    with_results = examined.tree.folders_in(str(organisation.results))
    for folder in sorted(beside):
        for name in examined.tree.folders_in(str(organisation.root / folder)):
            if name not in with_results:
                path = printable.one_line(str(organisation.root / folder / name))
                yield TreeFinding(Fault.STRAY, path, "a system without results")


def _files_between(tree: SubmissionTree, folder: str) -> Iterator[TreeFinding]:
    for node in tree.within(folder):
        if not node.is_folder and not _is_any(node.name, _OTHERS_FILES):
            yield TreeFinding(Fault.STRAY, printable.one_line(node.path))


def _runs(tree: SubmissionTree, folder: str) -> Iterator[TreeFinding]:
    """Yield what stands beside the one run of a folder, but for a power run's folders."""
    for node in tree.within(folder):
        if node.name not in ("run_1", "power", "ranging"):
            yield TreeFinding(Fault.STRAY, printable.one_line(node.path), "there is one run, run_1")


def _is_any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
