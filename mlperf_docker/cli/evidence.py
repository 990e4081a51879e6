"""`mlperf-docker evidence`."""

from pathlib import Path
from typing import Annotated

import typer

from mlperf_docker.cli.options import (
    DeviceName,
    JsonOutput,
    OnlyBackend,
    OptionalModel,
    ResultsRoot,
    user_path,
)
from mlperf_docker.cli.sources import GivenSources, taking_sources
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json


@taking_sources
def evidence(
    model: OptionalModel = "",
    *,
    backend: OnlyBackend = "",
    device: DeviceName = "cpu",
    synthetic: Annotated[str, typer.Option(metavar="SIZE", help="Size of the synthetic data: full or tiny.")] = "full",
    min_duration: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.001, help="Duration of the performance run.")
    ] = 10.0,
    samples: Annotated[int | None, typer.Option(min=1, help="Use only the first N samples.")] = None,
    results: ResultsRoot = None,
    from_results: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            parser=user_path,
            metavar="FILE",
            help="Run nothing; record a result.json that this source gave on a host without an engine. Repeatable.",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            parser=user_path,
            metavar="FILE",
            help="The record. Default: the checkout's evidence.json, else the user's.",
        ),
    ] = None,
    sources: GivenSources,
    as_json: JsonOutput = False,
) -> None:
    """Build and run cells on synthetic data, and record the findings in evidence.json.

    For each cell: its image, an Offline performance run, an accuracy run, and its raw outputs compared with those
    of the model's other backends. Entries of other cells stay. Without a GPU, cuda cells are only built. Exits 1 if
    a run was INVALID or its accuracy missed, else with the code of the first failure.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find_all, parse_choice
    from mlperf_docker.contract.words import SyntheticSize
    from mlperf_docker.display.progress import display
    from mlperf_docker.display.tables import fitted
    from mlperf_docker.evidence.gather import GatherRequest, gather
    from mlperf_docker.evidence.gather import from_results as take
    from mlperf_docker.evidence.records import place
    from mlperf_docker.evidence.text import EVIDENCE_HEADER, EVIDENCE_ORDER, evidence_line

    catalog = Catalog.load()
    size = parse_choice("synthetic size", synthetic, SyntheticSize)
    if from_results:
        gathered = take(from_results, find_all(catalog), record or place())
    else:
        request = GatherRequest(
            specs=find_all(catalog, model, backend, device),
            peers=find_all(catalog, model, None, device),
            size=size,
            min_duration_s=min_duration,
            sources=sources.of(catalog),
            record=record or place(),
            samples=samples,
            results_root=results,
        )
        with display() as show:
            gathered = gather(request, show)
    entries = list(gathered.entries.values())
    if as_json:
        streams.out(strict_json.dumps([entry.model_dump(mode="json") for entry in entries]))
    else:
        lines = [evidence_line(entry) for entry in entries]
        streams.out(fitted(EVIDENCE_HEADER, lines, streams.columns(), order=EVIDENCE_ORDER))
        streams.err(f"On record in {gathered.record}.")
    gathered.raise_failure()
    if not gathered.all_passed:
        raise typer.Exit(ExitCode.INVALID)
