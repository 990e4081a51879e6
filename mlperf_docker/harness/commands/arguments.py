"""Command line of the harness: commands and options as the contract declares them, and the cell."""

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from mlperf_docker.contract import places
from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import Command
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.options import declared
from mlperf_docker.harness import __version__
from mlperf_docker.harness.api import cell, events
from mlperf_docker.harness.api.errors import UsageError


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong as an error event too: the host shows that, and goes by its exit code."""

    def error(self, message: str) -> NoReturn:
        """Say it for people on stderr, then as an event on stdout."""
        self.print_usage(sys.stderr)
        sys.stderr.write(f"{self.prog}: error: {message}\n")
        events.Events(sys.stdout).error(UsageError(message))
        sys.exit(int(ExitCode.USAGE))


def parser(commands: Iterable[type[Command[Any]]]) -> argparse.ArgumentParser:
    """The command line of *commands*; what it parses has the command's class as `command`."""
    root = Parser(prog="mlperf_docker.harness", description="One MLPerf Inference test under LoadGen.")
    root.add_argument("--version", action="version", version=f"mlperf-docker harness {__version__}")
    words = root.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        add_command(words.add_parser(command.name, help=command.help, description=command.help), command)
    return root


def add_command(parser: argparse.ArgumentParser, command: type[Command[Any]]) -> None:
    """The options of *command*: those of the cell, its own, and its folders."""
    add_cell(parser)
    folders = parser.add_argument_group("folders")
    for option in declared(command):
        option.add_to(folders if option.folder else parser)
    parser.set_defaults(command=command)


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
