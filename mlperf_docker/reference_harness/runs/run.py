"""`run`: a LoadGen test by the reference implementation, from its options to its result."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlperf_docker.contract import json_values
from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.result import RunReply
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.commands import run as own
from mlperf_docker.harness.commands.folders import claimed
from mlperf_docker.harness.commands.options import LoadgenRun, run_of
from mlperf_docker.harness.models import registry as models
from mlperf_docker.harness.system import lifeline, storage
from mlperf_docker.harness.system.files import write_json
from mlperf_docker.reference_contract.commands import ReferenceRunCommand, refused
from mlperf_docker.reference_contract.reference import ReferenceImplementation
from mlperf_docker.reference_harness.runs import description
from mlperf_docker.reference_harness.runs.accuracy import score
from mlperf_docker.reference_harness.runs.composition import compose
from mlperf_docker.reference_harness.runs.performing import perform
from mlperf_docker.reference_harness.runs.preparation import prepare


def execute(command: ReferenceRunCommand, cell: Cell, events: Events) -> RunReply:
    """Do one LoadGen test by the reference, and write its result. Raises HarnessError where there is none."""
    reference, options = description.load(), run_of(command, cell)
    check(options, reference, command)
    with claimed(options.folders.results) as folder, storage.writing(folder), _work_folder() as work:
        benchmark = models.load(cell.model).configured(options.model_options)
        backend = backends.load(cell.backend)
        own.check_precision(options)
        backend.check_device(cell.device)
        prepared = prepare(options, reference, benchmark, backend, command, work, events)
        test = perform(prepared, events)
        scored = score(prepared, events)
        reply = compose(prepared, backend, test, scored)
        if not lifeline.is_held():  # else a kill before the host writes would leave half of it
            write_json(folder / "result.json", json_values.fields(reply))
        return reply


def check(options: LoadgenRun, reference: ReferenceImplementation, command: ReferenceRunCommand) -> None:
    """Raise UsageError for what the reference does not have, or the folders with its code."""
    script = command.checkout / reference.folder / reference.script
    if not script.is_file():
        hint = f"It is in the checkout of commit {reference.commit}."
        raise UsageError(f"the checkout {command.checkout} has no {reference.folder}/{reference.script}", hint=hint)
    missing = [name for name in reference.code_files if not (command.model_code / name).is_file()]
    if missing:
        raise UsageError(f"the model code in {command.model_code} lacks {', '.join(missing)}")
    if reference.scenarios and options.scenario.value not in reference.scenarios:
        there = ", ".join(reference.scenarios)
        raise UsageError(f"the reference of {options.cell.model} has no {options.scenario}; it has {there}")
    for reason in refused(options, reference.precisions):
        raise UsageError(reason)


@contextmanager
def _work_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mlperf-reference-") as folder:
        yield Path(folder)
