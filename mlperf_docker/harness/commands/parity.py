"""`parity`: how far the outputs of several backends are apart."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import Pair, ParityCommand, ParityReply
from mlperf_docker.contract.events import Phase
from mlperf_docker.harness.api.errors import ModelFileError, UsageError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.models import registry as models
from mlperf_docker.harness.models.opening import blaming
from mlperf_docker.harness.weights import numbers
from mlperf_docker.harness.weights import safetensors as weight_files

_PAIR = 2


def _written(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """What `outputs` wrote to *path*. Raises ModelFileError where it is no such file, or holds what is not finite."""
    found = weight_files.read(path)
    missing = [f"missing: {name}" for name in names if name not in found]
    if missing:
        hint = "Write such a file with the command `outputs` of this model."
        raise ModelFileError(f"{path} does not hold the outputs of this model", hint=hint, details=missing)
    numbers.refuse_not_finite(str(path), found.items())
    return found


def execute(command: ParityCommand, cell: Cell, events: Events) -> ParityReply:
    """Compare every pair of files. Raises UsageError where their tensors have other shapes."""
    if len(command.files) < _PAIR:
        raise UsageError("parity compares files: name at least two")
    events.phase(Phase.COMPARE)
    benchmark = models.load(cell.model)
    found = [(path, _written(path, benchmark.traced)) for path in command.files]
    pairs = []
    for (a, ours), (b, theirs) in combinations(found, 2):
        if {k: v.shape for k, v in ours.items()} != {k: v.shape for k, v in theirs.items()}:
            raise UsageError(f"{a} and {b} hold different tensors", hint="Write both for the same samples and size.")
        with blaming(b):
            result = benchmark.parity(ours, theirs)
        pairs.append(Pair(a, b, result.largest_difference, result.agreement))
    return ParityReply(
        pairs=tuple(pairs),
        largest_difference=max(pair.largest_difference for pair in pairs),
        agreement=min(pair.agreement for pair in pairs),
    )
