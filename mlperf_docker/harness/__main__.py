"""Command line in an image: `python -m mlperf_docker.harness`. Heavy imports wait until a command needs them."""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlperf_docker.contract import commands, json_values
from mlperf_docker.contract.commands import Command
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.places import DEBUG_VARIABLE
from mlperf_docker.harness.api.errors import HarnessError
from mlperf_docker.harness.commands import arguments
from mlperf_docker.harness.system import lifeline

if TYPE_CHECKING:
    from mlperf_docker.harness.api.events import Events

COMMANDS: dict[type[Command[Any]], str] = {
    commands.RunCommand: "mlperf_docker.harness.commands.run",
    commands.PreprocessCommand: "mlperf_docker.harness.commands.preprocess",
    commands.SynthesizeCommand: "mlperf_docker.harness.commands.synthesize",
    commands.VerifyCommand: "mlperf_docker.harness.commands.verify",
    commands.InspectCommand: "mlperf_docker.harness.commands.inspect_model",
    commands.ConvertCommand: "mlperf_docker.harness.commands.convert",
    commands.ConvertDataCommand: "mlperf_docker.harness.commands.convert_data",
    commands.OutputsCommand: "mlperf_docker.harness.commands.outputs",
    commands.ParityCommand: "mlperf_docker.harness.commands.parity",
}
"""Command → the module whose `execute` carries it out, imported when it is asked for."""


def execute(parsed: argparse.Namespace, events: "Events") -> ExitCode:
    """Carry out the command that was *parsed*, and print its reply."""
    kind: type[Command[Any]] = parsed.command
    cell = arguments.cell_of(parsed)
    command = arguments.command_of(parsed, cell)
    reply = importlib.import_module(COMMANDS[kind]).execute(command, cell, events)
    events.result(json_values.fields(reply))
    return ExitCode.VALID if getattr(reply, "valid", True) else ExitCode.INVALID


def guarded(function: Callable[[argparse.Namespace, "Events"], ExitCode], parsed: argparse.Namespace) -> ExitCode:
    """Run *function*; turn what it raises into an error event and an exit code."""
    from mlperf_docker.harness.api import events as event_lines
    from mlperf_docker.harness.system import signals

    events = event_lines.claim_stdout()
    signals.watch(events)
    logging.getLogger("mlperf_docker.harness").addHandler(event_lines.Notices(events))
    try:
        return function(parsed, events)
    except Exception as error:  # noqa: BLE001 (the one place that catches)
        known = error if isinstance(error, HarnessError) else refused(parsed, error) or crash(error)
        if os.environ.get(DEBUG_VARIABLE) == "1":
            import traceback

            traceback.print_exc()
        events.error(known)
        return known.exit_code


def refused(parsed: argparse.Namespace, error: Exception) -> HarnessError | None:
    """The error for a folder to write to that has no space left, or cannot be written, if that is what *error* is."""
    from mlperf_docker.harness.system import storage

    named = [getattr(parsed, name, None) for name in ("cache", "results")]
    output = getattr(parsed, "output", None)
    folders = (*named, output and output.parent, Path(os.environ.get("TMPDIR") or "/tmp"))  # noqa: S108
    return storage.refusal(error, [folder for folder in folders if folder])


def crash(error: Exception) -> HarnessError:
    """An error that nobody foresaw."""
    hint = f"See where it happened: mlperf-docker --debug …, or set {DEBUG_VARIABLE}=1 in the container."
    return HarnessError(f"the harness failed: {type(error).__name__}: {error}", hint=hint)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and give the exit code."""
    lifeline.hold()
    parser = arguments.parser(COMMANDS, arguments.options_of_model(argv))
    return int(guarded(execute, parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
