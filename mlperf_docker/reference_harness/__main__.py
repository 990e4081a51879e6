"""Command line in an image with a reference layer: `python -m mlperf_docker.reference_harness run …`."""

import argparse
import sys
from collections.abc import Sequence

from mlperf_docker.contract import json_values
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.harness.__main__ import guarded
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.commands import arguments
from mlperf_docker.harness.system import lifeline
from mlperf_docker.reference_contract.commands import ReferenceRunCommand


def execute(parsed: argparse.Namespace, events: Events) -> ExitCode:
    """Carry out the run that was *parsed*, and print its reply."""
    from mlperf_docker.reference_harness.runs import run

    cell = arguments.cell_of(parsed)
    command = arguments.command_of(parsed, cell)
    if not isinstance(command, ReferenceRunCommand):
        raise TypeError(f"{command} is no run of a reference")
    reply = run.execute(command, cell, events)
    events.result(json_values.fields(reply))
    return ExitCode.VALID if reply.valid else ExitCode.INVALID


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and give the exit code."""
    lifeline.hold()
    parser = arguments.parser([ReferenceRunCommand], arguments.options_of_model(argv))
    return int(guarded(execute, parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
