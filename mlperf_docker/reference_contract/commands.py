"""Commands of the reference harness."""

from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.contract.commands import RunCommand
from mlperf_docker.contract.options import option
from mlperf_docker.reference_contract import places


@dataclass(frozen=True, kw_only=True)
class ReferenceRunCommand(RunCommand):
    """LoadGen test by the reference implementation."""

    help = "Run one LoadGen test by the reference implementation."

    checkout: Path = option(Path(places.CHECKOUT), help="The checkout.", metavar="DIR", folder=True)
