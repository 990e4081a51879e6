"""Typer application: commands by name, and the one place where errors become messages and exit codes.

Only Typer and the words of the command line are imported here: `--help` should not wait for what a command needs.
"""

import functools
import os
from collections.abc import Callable, Iterable
from typing import Annotated, NoReturn, ParamSpec

import typer

from mlperf_docker import __version__
from mlperf_docker.cli import (
    build,
    bundle,
    campaign,
    compare_harness,
    data,
    doctor,
    evidence,
    listing,
    lock,
    models,
    prune,
    pull,
    push,
    render,
    results,
    rounds,
    run,
    show,
    submission,
    system,
    tune,
    verify,
)
from mlperf_docker.cli.on_demand import group
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.display import streams
from mlperf_docker.errors import Interrupted, MlperfDockerError
from mlperf_docker.names import DEBUG_VARIABLE
from mlperf_docker.system import folders, signals

EXIT_CODES = {
    ExitCode.VALID: "valid",
    ExitCode.INVALID: "INVALID or accuracy under target, also where verify finds a difference, or submission a problem",
    ExitCode.USAGE: "usage, or a folder that is full or closed",
    ExitCode.ENGINE: "engine",
    ExitCode.BASE_IMAGE: "base image",
    ExitCode.BUILD: "build",
    ExitCode.DATASET: "data set",
    ExitCode.MODEL_FILE: "model file",
    ExitCode.DEVICE: "device",
    ExitCode.CONTAINER: "container died",
    ExitCode.REGISTRY: "registry or bundle",
    ExitCode.INTERNAL: "internal error",
    ExitCode.INTERRUPTED: "interrupted",
}
"""What `--help` says of each exit code."""
_P = ParamSpec("_P")


def guarded(command: Callable[_P, None]) -> Callable[_P, None]:
    """Return *command* with every error turned into one message and its documented exit code."""

    @functools.wraps(command)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except typer.Exit:  # a command's own verdict
            raise
        except KeyboardInterrupt as error:
            _fail(error, ["Interrupted."], ExitCode.INTERRUPTED)
        except MlperfDockerError as error:
            if signals.was_told() and not isinstance(error, Interrupted):
                _fail(error, ["Interrupted."], ExitCode.INTERRUPTED)
            _fail(error, error.lines(), error.exit_code)
        except Exception as error:  # noqa: BLE001  # the last resort: a bug of ours must not be a wall of text
            if signals.was_told():
                _fail(error, ["Interrupted."], ExitCode.INTERRUPTED)
            refused = folders.refused(error) if isinstance(error, OSError) else None
            if refused is not None:
                _fail(error, refused.lines(), refused.exit_code)
            hint = "Hint:  This is a bug in mlperf-docker. See the traceback with: mlperf-docker --debug …"
            _fail(error, [f"Error: Internal error: {type(error).__name__}: {error}", hint], ExitCode.INTERNAL)

    return wrapper


def _fail(error: BaseException, lines: Iterable[str], code: int) -> NoReturn:
    if os.environ.get(DEBUG_VARIABLE):
        raise error
    for line in lines:
        streams.err(line)
    raise typer.Exit(int(code))


def _all_guarded(**commands: Callable[..., None]) -> dict[str, Callable[..., None]]:
    return {name: guarded(command) for name, command in commands.items()}


app = group(
    _all_guarded(
        list=listing.list_cells,
        show=show.show,
        render=render.render,
        build=build.build,
        verify=verify.verify,
        pull=pull.pull,
        push=push.push,
        run=run.run,
        **{"compare-harness": compare_harness.compare_harness},
        tune=tune.tune,
        evidence=evidence.evidence,
        doctor=doctor.doctor,
        lock=lock.lock,
        prune=prune.prune,
    ),
    name="mlperf-docker",
    help="MLPerf Inference in containers: one image per model, backend and device, run under LoadGen.",
    epilog=f"Exit codes: {', '.join(f'{code:d} {meaning}' for code, meaning in EXIT_CODES.items())}.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(
    group(
        _all_guarded(list=models.list_files, fetch=models.fetch, verify=models.verify, convert=models.convert),
        help="The official model files: list, fetch, verify, convert.",
    ),
    name="models",
)
app.add_typer(
    group(
        _all_guarded(
            list=data.list_datasets,
            fetch=data.fetch,
            verify=data.verify,
            convert=data.convert,
            preprocess=data.preprocess,
        ),
        help="The data sets: list, fetch, verify, convert, preprocess.",
    ),
    name="data",
)
app.add_typer(
    group(
        _all_guarded(
            list=results.list_results,
            show=results.show_result,
            compare=results.compare_results,
            report=results.report_results,
        ),
        help="Results of earlier runs: list, show, compare, report.",
    ),
    name="results",
)
app.add_typer(
    group(
        _all_guarded(list=rounds.list_rounds, show=rounds.show_round),
        help="Rounds of MLPerf Inference: list, show.",
    ),
    name="rounds",
)
app.add_typer(
    group(
        _all_guarded(init=system.init, show=system.show, check=system.check),
        help="The system that runs: init, show, check.",
    ),
    name="system",
)
app.add_typer(
    group(
        _all_guarded(create=submission.create, check=submission.check, merge=submission.merge),
        help="Trees of results for a round's checkers: create, check, merge.",
    ),
    name="submission",
)
app.add_typer(
    group(
        _all_guarded(
            init=campaign.init,
            plan=campaign.plan,
            pin=campaign.pin,
            run=campaign.run,
            status=campaign.status,
            cancel=campaign.cancel,
            export=campaign.export,
            report=campaign.report,
        ),
        help="The runs that an entry into a round needs: init, plan, pin, run, status, cancel, export, report.",
    ),
    name="campaign",
)
app.add_typer(
    group(
        _all_guarded(write=bundle.write, load=bundle.load, verify=bundle.verify),
        bundle.WritesByDefault,
        help="Images, locks and model files in one folder, for hosts without a network: write, load, verify."
        " `bundle MODEL …` is short for `bundle write MODEL …`.",
    ),
    name="bundle",
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        streams.out(f"mlperf-docker {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, and what a container prints.")
    ] = False,
    version: Annotated[  # noqa: ARG001  # told before anything asks for a command
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """MLPerf Inference in containers: one image per model, backend and device, run under LoadGen."""
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"
