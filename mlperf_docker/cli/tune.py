"""`mlperf-docker tune`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mlperf_docker.cli.limits import GivenLimits, taking_limits
from mlperf_docker.cli.model_options import GivenOptions, taking_model_options
from mlperf_docker.cli.options import (
    BackendName,
    DeviceName,
    JsonOutput,
    ModelName,
    OwnModelFile,
    OwnSettings,
    taking,
    user_path,
)
from mlperf_docker.cli.sources import GivenSources, taking_sources
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json


@taking_model_options("run")
@taking(RunOptions, without=("mode", "target_qps", "compliance", "trace"))
@taking_limits
@taking_sources
def tune(
    model: ModelName,
    *,
    backend: BackendName = "",
    device: DeviceName = "cpu",
    options: RunOptions,
    given: GivenOptions,
    start_qps: Annotated[
        float | None,
        typer.Option("--from", metavar="Q", min=0.001, help="Server: the first rate. Default: 0.7 of Offline's."),
    ] = None,
    trial_duration: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="Length of a short trial of layouts and batch sizes.")
    ] = 10.0,
    trials: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Make at most N trials now; the same command goes on.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.001, help="Begin no trial after so long; the same command goes on."),
    ] = None,
    name: Annotated[
        str,
        typer.Option(metavar="NAME", help="Name of the profile. Default: made of cell, precision and scenario."),
    ] = "",
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", parser=user_path, metavar="FILE", help="File of the profile. Default: among this host's profiles."
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Make no trial; print those that were made.")] = False,
    dataset: Annotated[
        Path | None, typer.Option(parser=user_path, metavar="DIR", help="The data set's folder, as of `run`.")
    ] = None,
    model_file: OwnModelFile = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results", parser=user_path, metavar="DIR", help="Folder of the trials. Default: the user's data folder."
        ),
    ] = None,
    user_conf: OwnSettings = None,
    round_: Annotated[
        str, typer.Option("--round", metavar="ROUND", help="A round, such as v6.1: full trials are held to it.")
    ] = "",
    limits: GivenLimits,
    sources: GivenSources,
    as_json: JsonOutput = False,
) -> None:
    """Find the best options of a cell by measurement, and keep them as a profile for `run --profile`.

    Offline, SingleStream, MultiStream: instances, threads and batch size, held against the default run in pairs.
    Server: the highest rate whose full-length run is VALID. Every trial is kept; the same command goes on after an
    interruption. Exits 1 if nothing was confirmed.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find
    from mlperf_docker.display.progress import display
    from mlperf_docker.rounds import loading as rounds
    from mlperf_docker.runs.request import RunRequest
    from mlperf_docker.tuning.session import TuneRequest, shown
    from mlperf_docker.tuning.session import tune as tune_by
    from mlperf_docker.tuning.text import tuned_text

    catalog = Catalog.load()
    spec = find(catalog, model, backend, device)
    request = TuneRequest(
        run=RunRequest(
            spec=spec,
            options=replace(options, model_options=given.of(spec.model)),
            limits=limits.limits(),
            sources=sources.of(catalog),
            dataset=dataset,
            model_file=model_file,
            user_conf=user_conf,
            results_root=results,
            round=rounds.load().require(round_, spec.model.name) if round_ else None,
        ),
        short_s=trial_duration,
        start_qps=start_qps,
        most_trials=trials,
        budget_s=budget,
        name=name or None,
        to=to,
    )
    with display() as progress:
        tuned = (shown if show else tune_by)(request, progress)
    streams.out(strict_json.dumps(tuned.fields()) if as_json else tuned_text(tuned, streams.columns()))
    if tuned.verdict is None or tuned.verdict.figure is None:
        raise typer.Exit(ExitCode.INVALID)
