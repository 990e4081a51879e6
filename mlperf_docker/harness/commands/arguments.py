"""Command line of the harness: commands and options as the contract declares them, and the cell."""

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mlperf_docker.contract import places
from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import Command
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.model_options import of_values
from mlperf_docker.contract.options import Declared, declared, values
from mlperf_docker.harness import __version__
from mlperf_docker.harness.api import cell, events
from mlperf_docker.harness.api.errors import UsageError

OfModel = Mapping[str, tuple[Declared, ...]]
"""Command → options that only one model has for it."""


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong as an error event too: the host shows that, and goes by its exit code."""

    def error(self, message: str) -> NoReturn:
        """Say it for people on stderr, then as an event on stdout."""
        self.print_usage(sys.stderr)
        sys.stderr.write(f"{self.prog}: error: {message}\n")
        events.Events(sys.stdout).error(UsageError(message))
        sys.exit(int(ExitCode.USAGE))


def parser(commands: Iterable[type[Command[Any]]], of_model: OfModel | None = None) -> argparse.ArgumentParser:
    """The command line of *commands*; what it parses has the command's class as `command`.

    of_model: options that only the model of the cell has.
    """
    root = Parser(prog="mlperf_docker.harness", description="One MLPerf Inference test under LoadGen.")
    root.add_argument("--version", action="version", version=f"mlperf-docker harness {__version__}")
    words = root.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        added = words.add_parser(command.name, help=command.help, description=command.help)
        add_command(added, command)
        add_model_options(added, (of_model or {}).get(command.name, ()))
    return root


def add_command(parser: argparse.ArgumentParser, command: type[Command[Any]]) -> None:
    """The options of *command*: those of the cell, its own, and its folders."""
    add_cell(parser)
    folders = parser.add_argument_group("folders")
    for option in declared(command):
        option.add_to(folders if option.folder else parser)
    parser.set_defaults(command=command)


def add_model_options(parser: argparse.ArgumentParser, of_model: Iterable[Declared]) -> None:
    """The options that only the model of the cell has for a command."""
    group = parser.add_argument_group("of this model")
    for each in of_model:
        each.option().add_to(group)


def options_of_model(argv: Sequence[str] | None) -> OfModel:
    """The options that the cell of a command line declares; none where there is no cell, which is told later."""
    first_look = Parser(prog="mlperf_docker.harness", add_help=False, allow_abbrev=False)
    add_cell(first_look)
    try:
        return cell_of(first_look.parse_known_args(argv)[0]).options
    except UsageError:
        return {}


def command_of(parsed: argparse.Namespace, cell: Cell) -> Command[Any]:
    """The command that was *parsed*, with the options of the cell's model."""
    kind: type[Command[Any]] = parsed.command
    given = {each.name: getattr(parsed, each.option().name, None) for each in cell.options.get(kind.name, ())}
    of_model = {"model_options": of_values(given)} if given else {}
    return kind(**values(kind, parsed), **of_model)


def add_cell(parser: argparse.ArgumentParser) -> None:
    """Options that say which cell this is."""
    group = parser.add_argument_group("cell")
    environment = os.environ.get(places.CELL_VARIABLE)
    default = Path(environment) if environment else None
    group.add_argument("--cell", type=Path, metavar="FILE", default=default, help=f"default: {places.CELL}")
    group.add_argument("--model", metavar="NAME")
    group.add_argument("--backend", metavar="NAME")
    group.add_argument("--device", choices=[device.value for device in Device])


def cell_of(parsed: argparse.Namespace) -> Cell:
    """The cell that the options and cell.json describe."""
    in_image = Path(places.CELL)
    path = parsed.cell or (in_image if in_image.exists() else None)
    return cell.resolve(path, model=parsed.model, backend=parsed.backend, device=parsed.device)
