"""What `push` and `pull` print."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from mlperf_docker.exchange import Outcome


def report(outcomes: "Sequence[Outcome]", done: str, *, as_json: bool) -> None:
    """Print what came of each cell, then raise what failed. done: what was to be done, a participle."""
    from mlperf_docker.exchange import require_all

    if as_json:
        typer.echo(json.dumps([each.fields() for each in outcomes], indent=2))
    else:
        for each in outcomes:
            if each.moved is not None:
                typer.echo(f"{each.moved.candidate.exact}@{each.moved.digest}")
    require_all(outcomes, done)
