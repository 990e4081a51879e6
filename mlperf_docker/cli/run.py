"""`mlperf-docker run`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlperf_docker.cli.limits import GivenLimits, taking_limits
from mlperf_docker.cli.model_options import GivenOptions, taking_model_options
from mlperf_docker.cli.options import (
    BackendName,
    DeviceName,
    JsonOutput,
    ModelCodeFolder,
    ModelName,
    OwnModelFile,
    OwnSettings,
    ProfileName,
    ReferenceFolder,
    ResultsRoot,
    WhoseCode,
    taking,
    user_path,
)
from mlperf_docker.cli.sources import GivenSources, taking_sources
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.display import streams
from mlperf_docker.errors import UsageError
from mlperf_docker.names import HarnessName

if TYPE_CHECKING:
    from mlperf_docker.catalog.spec import ImageSpec
    from mlperf_docker.reference.checkout import ReferenceCheckout


@taking_model_options("run")
@taking(RunOptions)
@taking_limits
@taking_sources
def run(
    model: ModelName,
    *,
    backend: BackendName = "",
    device: DeviceName = "cpu",
    options: RunOptions,
    given: GivenOptions,
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
    model_file: OwnModelFile = None,
    results: ResultsRoot = None,
    user_conf: OwnSettings = None,
    profile: ProfileName = "",
    round_: Annotated[
        str,
        typer.Option(
            "--round",
            metavar="ROUND",
            help="A round of MLPerf Inference, such as v6.1: its seeds and counts, and whether the run counts for it.",
        ),
    ] = "",
    performance_run: Annotated[
        str,
        typer.Option(
            metavar="RUN",
            help="With --compliance: the performance run to compare with, as `results show` names it. Default: the"
            " newest valid one that matches.",
        ),
    ] = "",
    accuracy_run: Annotated[
        str, typer.Option(metavar="RUN", help="With --compliance TEST01: the accuracy run, likewise.")
    ] = "",
    harness: WhoseCode = HarnessName.OWN,
    reference: ReferenceFolder = None,
    model_code: ModelCodeFolder = None,
    limits: GivenLimits,
    sources: GivenSources,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the equivalent docker command and exit.")] = False,
    as_json: JsonOutput = False,
) -> None:
    """Run a benchmark in its container: a local image of the exact hash, else pulled, else built."""
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find
    from mlperf_docker.display.progress import display
    from mlperf_docker.display.tables import folded
    from mlperf_docker.results.text import result_text
    from mlperf_docker.rounds import loading as rounds
    from mlperf_docker.runs import profile as profiles
    from mlperf_docker.runs.request import RunRequest
    from mlperf_docker.runs.session import dry_run as docker_command
    from mlperf_docker.runs.session import run as run_request

    if harness is HarnessName.OWN:
        _refuse(reference, model_code)
    catalog = Catalog.load()
    spec = find(catalog, model, backend, device)
    request = RunRequest(
        spec=spec,
        options=replace(options, model_options=given.of(spec.model)),
        limits=limits.limits(),
        sources=sources.of(catalog),
        dataset=dataset,
        require_dataset=require_dataset,
        model_file=model_file,
        user_conf=user_conf,
        results_root=results,
        profile=profiles.find(profile) if profile else None,
        round=rounds.load().require(round_, spec.model.name) if round_ else None,
        checkout=None if harness is HarnessName.OWN else reference_checkout(spec, reference, model_code),
        performance_run=performance_run or None,
        accuracy_run=accuracy_run or None,
    )
    if dry_run:
        streams.out(docker_command(request, streams.err))
        return
    with display() as show:
        result = run_request(request, show)
    streams.out(result.to_json() if as_json else folded(result_text(result), streams.columns(), 13))
    if not result.valid:
        raise typer.Exit(ExitCode.INVALID)


def _refuse(reference: Path | None, model_code: Path | None) -> None:
    """Our own harness reads no checkout. Raises UsageError where an option names one; a variable may."""
    named = [name for name, folder in (("--reference", reference), ("--model-code", model_code)) if folder]
    if named:
        raise UsageError(
            f"Our own harness reads no such folder: {' and '.join(named)}.",
            hint="Add --harness reference, or leave it out.",
        )


def reference_checkout(spec: "ImageSpec", reference: Path | None, model_code: Path | None) -> "ReferenceCheckout":
    """The checkout whose reference implementation is to run. Raises UsageError."""
    from mlperf_docker.recipe.reference_layer import reference_of
    from mlperf_docker.reference.checkout import of_environment, open_checkout

    spec_of_it, _ = reference_of(spec)
    return open_checkout(reference or of_environment(), spec_of_it, spec.backend, streams.err, model_code)
