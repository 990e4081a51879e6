"""`mlperf-docker submission`: trees of results that a round's checkers take, their check and their merging."""

from pathlib import Path
from typing import Annotated

import typer

from mlperf_docker.cli.options import (
    JsonOutput,
    user_path,
)
from mlperf_docker.cli.sources import GivenSources, taking_sources
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json

_To = Annotated[
    Path, typer.Option("--to", parser=user_path, metavar="DIR", help="Folder of the tree; made, in an existing folder.")
]
_Force = Annotated[bool, typer.Option("--force", help="Replace a tree that is there already.")]


@taking_sources
def create(
    campaign: Annotated[
        Path, typer.Argument(parser=user_path, metavar="CAMPAIGN", help="A campaign.yaml, or the folder that has one.")
    ],
    *,
    to: _To,
    do_runs: Annotated[bool, typer.Option("--run", help="First do the runs that are missing.")] = False,
    infer: Annotated[
        bool,
        typer.Option("--infer", help="Take scenarios that were not measured from others, where the rules allow it."),
    ] = False,
    allow_synthetic: Annotated[
        bool, typer.Option("--allow-synthetic", help="Take results on synthetic data; the tree is marked then.")
    ] = False,
    force: _Force = False,
    sources: GivenSources,
    as_json: JsonOutput = False,
) -> None:
    """Write the tree of a campaign's finished runs, in the layout of its round. Prints its folder.

    Exits 1 if runs lack, are INVALID or do not fit; all of these are told, and nothing is written.
    """
    from mlperf_docker.campaigns.campaign import load
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.display.progress import display
    from mlperf_docker.submission import creating, image_records, writing

    target = writing.place(to, force=force)
    catalog = Catalog.load()
    with display() as show:
        plan = creating.finished_plan(load(campaign), sources.of(catalog), show, do_runs=do_runs)
    choices = creating.Choices(infer=infer, allow_synthetic=allow_synthetic)
    tree = creating.create(plan, target, choices, catalog.models, image_records.of_entries)
    for note in tree.notes:
        streams.err(note)
    streams.out(strict_json.dumps(tree.fields()) if as_json else target)
    streams.err(f"Check it: {tree.check_command}")


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
    official: Annotated[
        Path | None,
        typer.Option(
            "--official",
            parser=user_path,
            metavar="CHECKOUT",
            help="A checkout of mlcommons/inference, whose own checkers are run, too.",
        ),
    ] = None,
    no_container: Annotated[
        bool, typer.Option("--no-container", help="Run these as processes of this host, not in a container.")
    ] = False,
    as_json: JsonOutput = False,
) -> None:
    """Check a tree against a round's rules: all problems at once, those with one fix together. Changes nothing.

    With --official also as upstream's checkers do, from your checkout, in a container without network. Exits 1 if the
    tree would be refused, or one of these refuses it.
    """
    from mlperf_docker.display.progress import display
    from mlperf_docker.rounds.loading import load
    from mlperf_docker.submission.checks import text
    from mlperf_docker.submission.checks.checking import check as check_tree
    from mlperf_docker.submission.official import asking

    checkout = asking.find(official) if official else None
    verdict = check_tree(tree, load(), round_name, allow_synthetic=allow_synthetic)
    asked = None
    if checkout is not None:
        with display() as show:
            asked = asking.ask(checkout, tree, verdict.round, show, in_container=not no_container)
    if as_json:
        streams.out(strict_json.dumps(text.verdict_fields(verdict) | ({"official": asked.fields()} if asked else {})))
    else:
        upstream = asked.lines() if asked else ()
        streams.out("\n".join((*upstream, text.verdict_text(verdict, asked.brief if asked else ""))))
    if not verdict.passes or (asked is not None and not asked.passes):
        raise typer.Exit(ExitCode.INVALID)
