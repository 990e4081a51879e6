"""`mlperf-docker submission`: trees of results that a round's checkers take, their check and their merging."""

from pathlib import Path
from typing import Annotated

import typer

from mlperf_docker.cli.options import JsonOutput, user_path
from mlperf_docker.contract.exit_codes import ExitCode
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


def check(
    tree: Annotated[Path, typer.Argument(parser=user_path, metavar="DIR", help="The folder above closed/ and open/.")],
    *,
    round_name: Annotated[
        str, typer.Option("--round", metavar="ROUND", help="Such as v6.1. Default: the one whose seeds the logs have.")
    ] = "",
    allow_synthetic: Annotated[
        bool, typer.Option("--allow-synthetic", help="Do not refuse results on synthetic data; the verdict says so.")
    ] = False,
    as_json: JsonOutput = False,
) -> None:
    """Check a tree against a round's rules: all problems at once, those with one fix together. Changes nothing.

    Exits 1 if the tree would be refused.
    """
    from mlperf_docker.rounds.loading import load
    from mlperf_docker.submission.checks.checking import check as check_tree
    from mlperf_docker.submission.checks.text import verdict_fields, verdict_text

    verdict = check_tree(tree, load(), round_name, allow_synthetic=allow_synthetic)
    streams.out(strict_json.dumps(verdict_fields(verdict)) if as_json else verdict_text(verdict))
    if not verdict.passes:
        raise typer.Exit(ExitCode.INVALID)
