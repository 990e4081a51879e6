"""`mlperf-docker run`."""

from pathlib import Path
from typing import Annotated

import typer

from mlperf_docker.cli.options import (
    BackendName,
    BaseImageName,
    BootstrapBase,
    DeviceName,
    JsonOutput,
    ModelName,
    PullChoice,
    Registry,
    ResultsRoot,
    user_path,
)
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.words import Mode, Precision, Scenario, SyntheticSize
from mlperf_docker.display import streams


def run(
    model: ModelName,
    *,
    backend: BackendName = "",
    device: DeviceName = "cpu",
    precision: Annotated[str, typer.Option("--precision", "-p", help="fp32 or int8.")] = "fp32",
    scenario: Annotated[str, typer.Option(help="SingleStream, MultiStream, Server or Offline.")] = "Offline",
    mode: Annotated[str, typer.Option(help="performance or accuracy.")] = "performance",
    dataset: Annotated[
        Path | None,
        typer.Option(
            parser=user_path,
            metavar="DIR",
            help="The data set's folder. Default: the folder that `data fetch` fills; if it is empty, --synthetic tiny"
            " for 5 s, with a warning.",
        ),
    ] = None,
    require_dataset: Annotated[
        bool,
        typer.Option("--require-dataset", help="Exit with 6 if the data set is missing, in place of synthetic data."),
    ] = False,
    synthetic: Annotated[
        str, typer.Option(metavar="SIZE", help="Synthetic data and weights: tiny or full. Needs no download.")
    ] = "",
    model_file: Annotated[
        Path | None, typer.Option(parser=user_path, metavar="FILE", help="Your own model file.")
    ] = None,
    results: ResultsRoot = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Use only the first N samples.")] = None,
    min_duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.001, help="Default: the benchmark's own 600 s.")
    ] = None,
    target_qps: Annotated[
        float | None,
        typer.Option(min=0.001, help="Server: queries per second. Offline: the expected samples per second."),
    ] = None,
    target_latency: Annotated[
        int | None, typer.Option(metavar="MS", min=1, help="Server: the latency bound. Default: mlperf.conf's.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Largest batch. Default: measured.")] = None,
    instances: Annotated[
        int | None, typer.Option(min=1, help="Copies of the model side by side. Default: 1, on GPUs one on each.")
    ] = None,
    threads_per_instance: Annotated[int | None, typer.Option(min=1, help="Threads of each copy.")] = None,
    max_ind_range: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="DLRM: only the first N rows of each table.")
    ] = None,
    user_conf: Annotated[
        Path | None,
        typer.Option(parser=user_path, metavar="FILE", help="Your own LoadGen settings, in the form of a user.conf."),
    ] = None,
    cpus: Annotated[float | None, typer.Option(min=0, help="Processors, as in docker: 1.5.")] = None,
    cpuset: Annotated[str, typer.Option(help="Which processors, as in docker: 0-3,6.")] = "",
    memory: Annotated[str, typer.Option(help="Memory limit, as in docker: 8g, 1.5GiB.")] = "",
    gpus: Annotated[str, typer.Option(help="GPUs, as in docker: all, 2, device=0. Default with cuda: all.")] = "",
    pull: PullChoice = "missing",
    base: BaseImageName = "",
    bootstrap_base: BootstrapBase = False,
    registry: Registry = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the equivalent docker command and exit.")] = False,
    as_json: JsonOutput = False,
) -> None:
    """Run a benchmark in its container: a local image of the exact hash, else pulled, else built."""
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find, parse_choice
    from mlperf_docker.display.progress import display
    from mlperf_docker.display.tables import folded
    from mlperf_docker.engine.plan import Limits, RunOptions
    from mlperf_docker.images.sources import sources_of
    from mlperf_docker.results.text import result_text
    from mlperf_docker.runs.session import RunRequest
    from mlperf_docker.runs.session import dry_run as docker_command
    from mlperf_docker.runs.session import run as run_request

    catalog = Catalog.load()
    spec = find(catalog, model, backend, device)
    options = RunOptions(
        scenario=parse_choice("scenario", scenario, Scenario),
        mode=parse_choice("mode", mode, Mode),
        precision=parse_choice("precision", precision, Precision),
        synthetic=parse_choice("synthetic size", synthetic, SyntheticSize) if synthetic else None,
        samples=samples,
        min_duration_s=min_duration,
        target_qps=target_qps,
        target_latency_ms=target_latency,
        batch_size=batch_size,
        instances=instances,
        threads_per_instance=threads_per_instance,
        max_ind_range=max_ind_range,
    )
    request = RunRequest(
        spec=spec,
        options=options,
        limits=Limits(cpus=cpus, cpuset=cpuset, memory=memory, gpus=gpus),
        sources=sources_of(catalog, registry, base=base, bootstrap=bootstrap_base, pull=pull),
        dataset=dataset,
        require_dataset=require_dataset,
        model_file=model_file,
        user_conf=user_conf,
        results_root=results,
    )
    if dry_run:
        streams.out(docker_command(request, streams.err))
        return
    with display() as show:
        result = run_request(request, show)
    streams.out(result.to_json() if as_json else folded(result_text(result), streams.columns(), 13))
    if not result.valid:
        raise typer.Exit(ExitCode.INVALID)
