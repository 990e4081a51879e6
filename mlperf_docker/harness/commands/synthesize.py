"""`synthesize`: a synthetic data set and weights in the cache."""

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import SynthesizeCommand, SynthesizeReply
from mlperf_docker.contract.events import Phase
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.scores import SyntheticKind
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.models import registry
from mlperf_docker.harness.models.opening import CpuAnswerer
from mlperf_docker.harness.system.resources import cores


def execute(command: SynthesizeCommand, cell: Cell, events: Events) -> SynthesizeReply:
    """Make the synthetic set where the cache lacks it."""
    benchmark, backend = registry.load(cell.model), backends.load(cell.backend)
    events.phase(Phase.SYNTHESIZE)
    report = events.reporter(Phase.SYNTHESIZE)
    kind = SyntheticKind(command.synthetic, command.synthetic_samples, command.synthetic_labels)
    made = benchmark.synthesize(kind, command.cache, CpuAnswerer(backend, cores()), report)
    return SynthesizeReply(made.data, made.weights, dict(made.facts))
