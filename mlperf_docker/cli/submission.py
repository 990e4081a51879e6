"""`mlperf-docker submission`: trees of results that a round's checkers take, and their merging."""

from pathlib import Path
from typing import Annotated

import typer

from mlperf_docker.cli.options import JsonOutput, user_path
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json

_To = Annotated[
    Path, typer.Option("--to", parser=user_path, metavar="DIR", help="Folder of the tree; made, in an existing folder.")
]
_Force = Annotated[bool, typer.Option("--force", help="Replace a tree that is there already.")]


def merge(
    trees: Annotated[list[Path], typer.Argument(parser=user_path, metavar="TREE", help="Two or more trees.")],
    *,
    to: _To,
    force: _Force = False,
    as_json: JsonOutput = False,
) -> None:
    """Merge trees of several hosts, of one organisation, into one. Prints its folder.

    Exits 1 if two trees have different files of one path; all of these are told, and nothing is written.
    """
    from mlperf_docker.errors import UsageError
    from mlperf_docker.submission import merging, writing

    if len(trees) < 2:  # one is no merge
        raise UsageError("One tree is nothing to merge.", hint="mlperf-docker submission merge A B --to C")
    target = writing.place(to, force=force)
    merged = merging.merge(trees)
    writing.write(merged.files, target)
    if as_json:
        streams.out(strict_json.dumps({"tree": str(target), "files": len(merged.files)}))
    else:
        streams.out(target)
