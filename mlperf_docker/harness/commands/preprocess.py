"""`preprocess`: a data set into the cache."""

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import PreprocessCommand, PreprocessReply
from mlperf_docker.contract.events import Phase
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.models import registry
from mlperf_docker.harness.system import data_files
from mlperf_docker.harness.system.resources import cores


def execute(command: PreprocessCommand, cell: Cell, events: Events) -> PreprocessReply:
    """Fill the cache with the data set."""
    benchmark = registry.load(cell.model)
    events.phase(Phase.PREPROCESS)
    with data_files.reading(command.data):
        dataset = benchmark.open_dataset(command.data, limit=command.samples)
    official = cell.official(cell.precisions[0])
    report, form = events.reporter(Phase.PREPROCESS), benchmark.default_form(official.format if official else None)
    workers = command.workers or cores()
    samples = benchmark.preprocess(dataset, form, command.cache, workers=workers, report=report)
    return PreprocessReply(samples.count, command.cache)
