"""`inspect-model`: what a model file is."""

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import InspectCommand, InspectReply
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.events import Phase
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.backends.batches import zeros
from mlperf_docker.harness.models import registry as models
from mlperf_docker.harness.models.opening import Loading, load_parts, open_model, trying
from mlperf_docker.harness.system.resources import cores
from mlperf_docker.harness.weights import formats
from mlperf_docker.harness.weights.model_files import identify


def execute(command: InspectCommand, cell: Cell, events: Events) -> InspectReply:
    """Load the file on the CPU. Raises ModelFileError if it is not a model of this cell.

    A graph that is run as it is has to take zeros too.
    """
    events.phase(Phase.LOAD_MODEL)
    path = command.model_file
    file = identify(path, None)
    backend = backends.load(cell.backend)
    model = open_model(models.load(cell.model), backend, path)
    predictor, *_ = load_parts(backend, model, Loading(Device.CPU, cores()))
    if model.format is not None:
        with trying(model):
            predictor.predict(zeros(model.interface, 1))
    inputs, outputs = (tuple(map(str, side)) for side in (model.interface.inputs, model.interface.outputs))
    return InspectReply(
        format=formats.detect(path).value,
        variant=model.variant,
        as_it_is=model.format is not None,
        fixed_batch=model.interface.batch,
        inputs=inputs,
        outputs=outputs,
        facts=dict(file.facts),
    )
