"""`verify`: every sample of a data set, read."""

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import VerifyCommand, VerifyReply
from mlperf_docker.contract.events import Phase
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.models import registry
from mlperf_docker.harness.system import data_files
from mlperf_docker.harness.system.resources import cores


def execute(command: VerifyCommand, cell: Cell, events: Events) -> VerifyReply:
    """Read every sample of the data set."""
    benchmark = registry.load(cell.model)
    events.phase(Phase.VERIFY)
    with data_files.reading(command.data):
        dataset = benchmark.open_dataset(command.data, limit=command.samples)
    report = events.reporter(Phase.VERIFY)
    facts = benchmark.verify(dataset, workers=command.workers or cores(), report=report)
    return VerifyReply(command.data, dataset.count, dict(facts))
