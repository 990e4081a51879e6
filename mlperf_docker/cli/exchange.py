"""Output of `push` and `pull`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlperf_docker.display import streams
from mlperf_docker.system import strict_json

if TYPE_CHECKING:
    from mlperf_docker.images.push_pull import TransferredCell


def report(outcomes: "Sequence[TransferredCell]", done: str, *, as_json: bool) -> None:
    """Print what came of each cell, then raise what failed. done: what was to be done, a participle."""
    from mlperf_docker.images.push_pull import require_all

    if as_json:
        streams.out(strict_json.dumps([each.fields() for each in outcomes]))
    else:
        for each in outcomes:
            if each.moved is not None:
                streams.out(f"{each.moved.candidate.exact}@{each.moved.digest}")
    require_all(outcomes, done)
