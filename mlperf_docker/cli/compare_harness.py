"""`mlperf-docker compare-harness`."""

from pathlib import Path
from typing import Annotated

import typer

from mlperf_docker.cli.limits import GivenLimits, taking_limits
from mlperf_docker.cli.options import (
    BackendName,
    JsonOutput,
    ModelCodeFolder,
    ModelName,
    OwnModelFile,
    ReferenceFolder,
    ResultsRoot,
    taking,
    user_path,
)
from mlperf_docker.cli.run import reference_checkout
from mlperf_docker.cli.sources import GivenSources, taking_sources
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.display import streams

_OTHERS = ("compliance", "mode", "instances", "threads_per_instance", "trace")


@taking(RunOptions, without=_OTHERS)
@taking_limits
@taking_sources
def compare_harness(
    model: ModelName,
    *,
    backend: BackendName = "",
    reference: ReferenceFolder = None,
    model_code: ModelCodeFolder = None,
    rounds: Annotated[
        int, typer.Option(metavar="N", min=0, help="Performance runs of each harness, in turns; 0 for none.")
    ] = 3,
    options: RunOptions,
    dataset: Annotated[
        Path | None, typer.Option(parser=user_path, metavar="DIR", help="The data set's folder, as of `run`.")
    ] = None,
    model_file: OwnModelFile = None,
    results: ResultsRoot = None,
    limits: GivenLimits,
    sources: GivenSources,
    as_json: JsonOutput = False,
) -> None:
    """Run our harness and the reference implementation on the same samples and weights, and compare them.

    Accuracy runs first, whose answers are compared sample for sample, then performance runs in turns. The runs are
    kept as any others; `results report` shows them side by side. Exits 1 where accuracy lines or the samples that
    were answered differ, or a run is INVALID.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find
    from mlperf_docker.display.progress import display
    from mlperf_docker.display.tables import folded
    from mlperf_docker.results.harnesses import side_by_side_text
    from mlperf_docker.runs.compare_harness import HarnessComparison, compare
    from mlperf_docker.runs.request import RunRequest
    from mlperf_docker.system import strict_json

    catalog = Catalog.load()
    spec = find(catalog, model, backend)
    request = RunRequest(
        spec=spec,
        options=options,
        limits=limits.limits(),
        sources=sources.of(catalog),
        dataset=dataset,
        model_file=model_file,
        results_root=results,
        checkout=reference_checkout(spec, reference, model_code),
    )
    with display() as show:
        found = compare(HarnessComparison(request, rounds), show)
    text = strict_json.dumps(found.fields()) if as_json else folded(side_by_side_text(found), streams.columns(), 11)
    streams.out(text)
    if not found.alike:
        raise typer.Exit(ExitCode.INVALID)
