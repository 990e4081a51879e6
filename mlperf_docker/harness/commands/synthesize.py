"""`synthesize`: a synthetic data set and weights in the cache."""

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import SynthesizeCommand, SynthesizeReply
from mlperf_docker.contract.events import Phase
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.models import registry
from mlperf_docker.harness.models.opening import CpuAnswerer
from mlperf_docker.harness.system.resources import cores


def execute(command: SynthesizeCommand, cell: Cell, events: Events) -> SynthesizeReply:
    """Make the synthetic set where the cache lacks it."""
    benchmark, backend = registry.load(cell.model), backends.load(cell.backend)
    events.phase(Phase.SYNTHESIZE)
    report = events.reporter(Phase.SYNTHESIZE)
    made = benchmark.synthesize(command.synthetic, command.cache, CpuAnswerer(backend, cores()), report)
    return SynthesizeReply(made.data, made.weights, dict(made.facts))
