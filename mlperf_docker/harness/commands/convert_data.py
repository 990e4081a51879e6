"""`convert-data`: a data set out of the files that it is offered as."""

from pathlib import Path

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import ConvertDataCommand, ConvertDataReply
from mlperf_docker.contract.events import Phase
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.models import registry


def execute(command: ConvertDataCommand, cell: Cell, events: Events) -> ConvertDataReply:
    """Make the data set out of the files in --data, in --results."""
    benchmark = registry.load(cell.model).configured(command.model_options)
    if not command.results.is_dir():
        raise UsageError(f"the folder {command.results} is not there")
    events.phase(Phase.CONVERT)
    report = events.reporter(Phase.CONVERT)
    facts = dict(benchmark.convert_data(command.data, command.results, report))
    return ConvertDataReply(Path(facts.pop("output")), facts)
