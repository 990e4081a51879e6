"""Commands of the reference harness."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.contract.commands import RunCommand
from mlperf_docker.contract.options import RunOptions, declared, option
from mlperf_docker.reference_contract import places

HARNESS = "reference"
"""The harness that runs the reference implementation, as a result names it."""


@dataclass(frozen=True, kw_only=True)
class ReferenceRunCommand(RunCommand):
    """LoadGen test by the reference implementation."""

    help = "Run one LoadGen test by the reference implementation."

    checkout: Path = option(Path(places.CHECKOUT), help="The checkout.", metavar="DIR", folder=True)
    model_code: Path = option(
        Path(places.CODE), help="Code that the reference imports and the checkout lacks.", metavar="DIR", folder=True
    )


_OWN = ("compliance", "instances", "threads_per_instance", "most_waiting", "trace")
"""Options that only our own harness has."""


def refused(options: RunOptions, precisions: Collection[str]) -> Iterator[str]:
    """Why a reference implementation that has these *precisions* cannot take *options*."""
    for each in declared(RunOptions):
        if each.name in _OWN and getattr(options, each.name):
            yield f"{each.flag} is for our own harness: a reference implementation has no such option"
    if options.precision not in precisions:
        yield f"the reference implementation has no {options.precision} here; it has {', '.join(precisions)}"
