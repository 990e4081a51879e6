"""`python -m mlperf_docker.harness`: the command line in an image. Heavy imports wait until a command needs them."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.events import Phase
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.words import Mode, Scenario, SyntheticSize
from mlperf_docker.harness import __version__
from mlperf_docker.harness.api import tables
from mlperf_docker.harness.api.errors import HarnessError, UsageError
from mlperf_docker.harness.system import lifeline

if TYPE_CHECKING:
    from mlperf_docker.contract.cell import Cell
    from mlperf_docker.harness.api.events import Events
    from mlperf_docker.harness.commands.options import Folders, RunOptions

DEFAULT_CELL = Path("/opt/mlperf/cell.json")


MOST = (1 << 31) - 1
"""Of what is counted: frameworks have no more than 32 bits for some of it, and LoadGen reads more as something else."""
LEAST, MOST_QPS, MOST_SECONDS = 0.001, 1e12, 1e9
"""Of rates and durations: LoadGen counts nanoseconds in 64 bits."""


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if not 1 <= value <= MOST:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {MOST}")
    return value


def rate(text: str) -> float:
    """Queries or samples per second."""
    return _between(text, MOST_QPS)


def seconds(text: str) -> float:
    """A duration."""
    return _between(text, MOST_SECONDS)


def _between(text: str, most: float) -> float:
    value = float(text)
    if not LEAST <= value <= most:
        raise argparse.ArgumentTypeError(f"{text} is not from {LEAST:g} to {most:g}")
    return value


def new_file(text: str) -> Path:
    """A file to write, in a folder that is there; what stands at its place is replaced, unless it is a folder."""
    path = Path(text)
    try:
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"{path} is a folder: name a file in it")
        if not path.parent.is_dir():
            raise argparse.ArgumentTypeError(f"there is no folder {path.parent}: make it, or name another")
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path} cannot be written: {error.strerror}") from error
    return path


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong as an error event too: the host shows that, and goes by its exit code."""

    def error(self, message: str) -> NoReturn:
        """Say it for people on stderr, then as an event on stdout."""
        from mlperf_docker.harness.api import events

        self.print_usage(sys.stderr)
        sys.stderr.write(f"{self.prog}: error: {message}\n")
        events.Events(sys.stdout).error(UsageError(message))
        sys.exit(int(ExitCode.USAGE))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = Parser(prog="mlperf_docker.harness", description="One MLPerf Inference test under LoadGen.")
    root.add_argument("--version", action="version", version=f"mlperf-docker harness {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_run(commands.add_parser("run", help="run one LoadGen test", description="Run one LoadGen test."))
    add_preprocess(commands.add_parser("preprocess", help="fill the cache with a preprocessed data set"))
    add_synthesize(commands.add_parser("synthesize", help="make a synthetic data set and weights in the cache"))
    add_verify(commands.add_parser("verify", help="read a whole data set and tell what is damaged"))
    add_inspect(commands.add_parser("inspect-model", help="tell what a model file is"))
    add_convert(commands.add_parser("convert", help="an official file to safetensors weights, or weights to ONNX"))
    add_convert_data(commands.add_parser("convert-data", help="a data set out of the files that it is offered as"))
    add_outputs(commands.add_parser("outputs", help="write what the network gives for the synthetic samples"))
    add_parity(commands.add_parser("parity", help="compare what `outputs` wrote on several backends"))
    return root


def add_cell(command: argparse.ArgumentParser) -> None:
    """Options that say which cell this is."""
    group = command.add_argument_group("cell")
    environment = os.environ.get("MLPERF_CELL")
    default = Path(environment) if environment else None
    group.add_argument("--cell", type=Path, metavar="FILE", default=default, help=f"default: {DEFAULT_CELL}")
    group.add_argument("--model", metavar="NAME")
    group.add_argument("--backend", metavar="NAME")
    group.add_argument("--device", choices=[device.value for device in Device])


def add_folders(command: argparse.ArgumentParser, *names: str) -> None:
    """Options for folders, which default to the mount points of a container."""
    group = command.add_argument_group("folders")
    for name in names:
        group.add_argument(f"--{name}", type=Path, metavar="DIR", default=Path(f"/{name}"), help=f"default: /{name}")


def add_run(command: argparse.ArgumentParser) -> None:
    """Options of `run`."""
    add_cell(command)
    command.add_argument("--precision", default="fp32", metavar="NAME")
    scenarios = [scenario.value for scenario in Scenario]
    command.add_argument("--scenario", choices=scenarios, default=Scenario.OFFLINE.value)
    command.add_argument("--mode", choices=[mode.value for mode in Mode], default=Mode.PERFORMANCE.value)
    command.add_argument("--synthetic", choices=[size.value for size in SyntheticSize])
    command.add_argument("--model-file", type=Path, metavar="FILE", help="default: the official file in --models")
    command.add_argument("--samples", type=positive_int, metavar="N", help="use the first N samples of the data set")
    command.add_argument("--min-duration", type=seconds, metavar="SECONDS", help="default: 600, as the rules ask")
    command.add_argument("--target-qps", type=rate, metavar="Q", help="default: measured")
    command.add_argument(
        "--target-latency", type=positive_int, metavar="MS", help="Server's bound; default: mlperf.conf's"
    )
    command.add_argument("--batch-size", type=positive_int, metavar="N", help="Offline, Server; default: measured")
    command.add_argument(
        "--instances", type=positive_int, metavar="N", help="copies of the model; default: 1, or one on each GPU"
    )
    command.add_argument("--threads-per-instance", type=positive_int, metavar="T", help="default: cores / instances")
    command.add_argument("--user-conf", type=Path, metavar="FILE", help="your own LoadGen settings")
    command.add_argument("--workers", type=positive_int, metavar="N", help="preprocessing processes; default: cores")
    command.add_argument("--max-ind-range", type=positive_int, metavar="N", help="DLRM: only N rows of each table")
    add_folders(command, "data", "models", "cache", "results")
    command.set_defaults(function=run)


def add_preprocess(command: argparse.ArgumentParser) -> None:
    """Options of `preprocess`."""
    add_cell(command)
    command.add_argument("--samples", type=positive_int, metavar="N")
    command.add_argument("--workers", type=positive_int, metavar="N")
    add_folders(command, "data", "cache")
    command.set_defaults(function=preprocess)


def add_synthesize(command: argparse.ArgumentParser) -> None:
    """Options of `synthesize`."""
    add_cell(command)
    command.add_argument(
        "--synthetic", choices=[size.value for size in SyntheticSize], default=SyntheticSize.TINY.value
    )
    add_folders(command, "cache")
    command.set_defaults(function=synthesize)


def add_verify(command: argparse.ArgumentParser) -> None:
    """Options of `verify`."""
    add_cell(command)
    command.add_argument("--samples", type=positive_int, metavar="N")
    command.add_argument("--workers", type=positive_int, metavar="N")
    add_folders(command, "data")
    command.set_defaults(function=verify)


def add_inspect(command: argparse.ArgumentParser) -> None:
    """Options of `inspect-model`."""
    add_cell(command)
    command.add_argument("--model-file", type=Path, metavar="FILE", required=True)
    command.set_defaults(function=inspect_model)


def add_convert(command: argparse.ArgumentParser) -> None:
    """Options of `convert`."""
    add_cell(command)
    command.add_argument("--model-file", type=Path, metavar="FILE", required=True, help="an official file, or weights")
    command.add_argument("--output", type=new_file, metavar="FILE", required=True, help=".safetensors or .onnx")
    command.add_argument("--tables", choices=["fp32", "fp16"], help="DLRM: the type of its tables; default: as it is")
    command.set_defaults(function=convert)


def add_convert_data(command: argparse.ArgumentParser) -> None:
    """Options of `convert-data`."""
    add_cell(command)
    command.add_argument(
        "--max-ind-range", type=positive_int, metavar="N", help="default: that of the official weights"
    )
    command.add_argument("--days", type=positive_int, metavar="N", help="DLRM: only the first N days; default: 24")
    add_folders(command, "data", "results")
    command.set_defaults(function=convert_data)


def add_outputs(command: argparse.ArgumentParser) -> None:
    """Options of `outputs`."""
    add_cell(command)
    sizes = [size.value for size in SyntheticSize]
    command.add_argument("--synthetic", choices=sizes, default=SyntheticSize.TINY.value)
    command.add_argument("--samples", type=positive_int, metavar="N")
    command.add_argument("--output", type=new_file, metavar="FILE", required=True, help="a safetensors file")
    add_folders(command, "cache")
    command.set_defaults(function=outputs)


def add_parity(command: argparse.ArgumentParser) -> None:
    """Options of `parity`."""
    add_cell(command)
    command.add_argument("files", type=Path, nargs="+", metavar="FILE", help="what `outputs` wrote, two or more")
    command.set_defaults(function=parity)


def cell_of(arguments: argparse.Namespace) -> "Cell":
    """The cell that the options and cell.json describe."""
    from mlperf_docker.harness.api import cell

    path = arguments.cell or (DEFAULT_CELL if DEFAULT_CELL.exists() else None)
    return cell.resolve(path, model=arguments.model, backend=arguments.backend, device=arguments.device)


def folders_of(arguments: argparse.Namespace) -> "Folders":
    """The folders that the options name."""
    from mlperf_docker.harness.commands.options import Folders

    return Folders(arguments.data, arguments.models, arguments.cache, arguments.results)


def options_of(arguments: argparse.Namespace) -> "RunOptions":
    """The options of `run`, checked against each other. Raises UsageError."""
    from mlperf_docker.harness.commands.options import RunOptions
    from mlperf_docker.harness.loadgen import user_conf

    if (arguments.instances or 1) > 1 and arguments.scenario in (Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM):
        raise UsageError(f"{arguments.scenario} has one query at a time: --instances must be 1")
    if arguments.target_latency is not None and arguments.scenario != Scenario.SERVER:
        raise UsageError(f"{arguments.scenario} has no bound on latency: --target-latency is for Server")
    return RunOptions(
        cell=cell_of(arguments),
        scenario=Scenario(arguments.scenario),
        mode=Mode(arguments.mode),
        folders=folders_of(arguments),
        precision=arguments.precision,
        synthetic=SyntheticSize(arguments.synthetic) if arguments.synthetic else None,
        model_file=arguments.model_file,
        samples=arguments.samples,
        min_duration_s=arguments.min_duration,
        target_qps=arguments.target_qps,
        target_latency_ms=arguments.target_latency,
        batch_size=arguments.batch_size,
        instances=arguments.instances,
        threads=arguments.threads_per_instance,
        user_conf=user_conf.read(arguments.user_conf) if arguments.user_conf else None,
        workers=arguments.workers,
        max_ind_range=arguments.max_ind_range,
    )


def run(arguments: argparse.Namespace, events: "Events") -> ExitCode:
    """One LoadGen test."""
    options = options_of(arguments)
    from mlperf_docker.harness.commands import run as steps

    return steps.run(options, events)


def preprocess(arguments: argparse.Namespace, events: "Events") -> ExitCode:
    """Fill the cache with the data set."""
    from mlperf_docker.harness.models import registry
    from mlperf_docker.harness.system import data_files
    from mlperf_docker.harness.system.resources import cores

    cell = cell_of(arguments)
    benchmark = registry.load(cell.model)
    events.phase(Phase.PREPROCESS)
    with data_files.reading(arguments.data):
        dataset = benchmark.open_dataset(arguments.data, limit=arguments.samples)
    report, form = events.reporter(Phase.PREPROCESS), benchmark.default_form(cell.backend)
    samples = benchmark.preprocess(dataset, form, arguments.cache, workers=arguments.workers or cores(), report=report)
    events.result({"samples": samples.count, "cache": str(arguments.cache)})
    return ExitCode.VALID


def verify(arguments: argparse.Namespace, events: "Events") -> ExitCode:
    """Read every sample of the data set."""
    from mlperf_docker.harness.models import registry
    from mlperf_docker.harness.system import data_files
    from mlperf_docker.harness.system.resources import cores

    benchmark = registry.load(cell_of(arguments).model)
    events.phase(Phase.VERIFY)
    with data_files.reading(arguments.data):
        dataset = benchmark.open_dataset(arguments.data, limit=arguments.samples)
    report = events.reporter(Phase.VERIFY)
    facts = benchmark.verify(dataset, workers=arguments.workers or cores(), report=report)
    events.result({"dataset": str(arguments.data), "samples": dataset.count, "facts": dict(facts)})
    return ExitCode.VALID


def synthesize(arguments: argparse.Namespace, events: "Events") -> ExitCode:
    """Make a synthetic set."""
    from mlperf_docker.harness.backends import registry as backends
    from mlperf_docker.harness.models import registry
    from mlperf_docker.harness.models.opening import CpuAnswerer
    from mlperf_docker.harness.system.resources import cores

    cell = cell_of(arguments)
    benchmark, backend = registry.load(cell.model), backends.load(cell.backend)
    events.phase(Phase.SYNTHESIZE)
    size, report = SyntheticSize(arguments.synthetic), events.reporter(Phase.SYNTHESIZE)
    made = benchmark.synthesize(size, arguments.cache, CpuAnswerer(backend, cores()), report)
    events.result({"data": str(made.data), "weights": str(made.weights), **made.facts})
    return ExitCode.VALID


def inspect_model(arguments: argparse.Namespace, events: "Events") -> ExitCode:
    """Load a model file and tell what it is."""
    from mlperf_docker.harness.commands import convert as conversion

    events.phase(Phase.LOAD_MODEL)
    events.result(conversion.inspect(cell_of(arguments), arguments.model_file))
    return ExitCode.VALID


def convert(arguments: argparse.Namespace, events: "Events") -> ExitCode:
    """An official file to safetensors, or weights through the architecture to ONNX."""
    from mlperf_docker.harness.commands import convert as conversion

    events.phase(Phase.CONVERT)
    events.result(conversion.convert(cell_of(arguments), arguments.model_file, arguments.output, arguments.tables))
    return ExitCode.VALID


def convert_data(arguments: argparse.Namespace, events: "Events") -> ExitCode:
    """A data set out of raw files in --data, written to --results."""
    from mlperf_docker.harness.models import registry

    benchmark = registry.cut(registry.load(cell_of(arguments).model), arguments.max_ind_range)
    if not isinstance(benchmark, tables.Raw):
        raise UsageError(f"the data set of {arguments.model} is used as it is")
    if not arguments.results.is_dir():
        raise UsageError(f"the folder {arguments.results} is not there")
    events.phase(Phase.CONVERT)
    report = events.reporter(Phase.CONVERT)
    made = benchmark.convert_data(arguments.data, arguments.results, days=arguments.days, report=report)
    events.result(dict(made))
    return ExitCode.VALID


def outputs(arguments: argparse.Namespace, events: "Events") -> ExitCode:
    """What the cell's network gives for synthetic samples, as a file."""
    from mlperf_docker.harness.commands import parity as comparison

    size = SyntheticSize(arguments.synthetic)
    made = comparison.trace(cell_of(arguments), size, arguments.cache, arguments.output, arguments.samples, events)
    events.result(made)
    return ExitCode.VALID


def parity(arguments: argparse.Namespace, events: "Events") -> ExitCode:
    """How far backends are apart."""
    from mlperf_docker.harness.commands import parity as comparison

    if len(arguments.files) < 2:
        raise UsageError("parity compares files: name at least two")
    events.phase(Phase.COMPARE)
    events.result(comparison.compare(cell_of(arguments), arguments.files))
    return ExitCode.VALID


def guarded(function: Callable[[argparse.Namespace, "Events"], ExitCode], arguments: argparse.Namespace) -> ExitCode:
    """Run a command; turn what it raises into an error event and an exit code."""
    from mlperf_docker.harness.api import events as event_lines
    from mlperf_docker.harness.system import signals

    events = event_lines.claim_stdout()
    signals.watch(events)
    logging.getLogger("mlperf_docker.harness").addHandler(event_lines.Notices(events))
    try:
        return function(arguments, events)
    except Exception as error:  # noqa: BLE001 (the one place that catches)
        known = error if isinstance(error, HarnessError) else refused(arguments, error) or crash(error)
        if os.environ.get("MLPERF_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        events.error(known)
        return known.exit_code


def refused(arguments: argparse.Namespace, error: Exception) -> HarnessError | None:
    """The error for a folder to write to that has no space left, or cannot be written, if that is what *error* is."""
    from mlperf_docker.harness.system import storage

    named = [getattr(arguments, name, None) for name in ("cache", "results")]
    output = getattr(arguments, "output", None)
    folders = (*named, output and output.parent, Path(os.environ.get("TMPDIR") or "/tmp"))  # noqa: S108
    return storage.refusal(error, [folder for folder in folders if folder])


def crash(error: Exception) -> HarnessError:
    """An error that nobody foresaw."""
    hint = "Set MLPERF_DEBUG=1 to see where it happened."
    return HarnessError(f"the harness failed: {type(error).__name__}: {error}", hint=hint)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and give the exit code."""
    lifeline.hold()
    arguments = parser().parse_args(argv)
    return int(guarded(arguments.function, arguments))


if __name__ == "__main__":
    sys.exit(main())
