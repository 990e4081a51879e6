"""`mlperf-docker show`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlperf_docker.cli.options import BackendName, DeviceName, JsonOutput, ModelName, Registry, user_path
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json

if TYPE_CHECKING:
    from mlperf_docker.catalog.spec import ImageSpec
    from mlperf_docker.rounds.round import Round


def show(
    model: ModelName,
    *,
    backend: BackendName = "",
    device: DeviceName = "cpu",
    dockerfile: Annotated[bool, typer.Option("--dockerfile", help="Print the cell's Dockerfile.")] = False,
    sbom: Annotated[
        bool, typer.Option("--sbom", help="Print the bill of materials (CycloneDX JSON) in the cell's image.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", parser=user_path, metavar="FILE", help="Write the output to a file."),
    ] = None,
    round_: Annotated[
        str, typer.Option("--round", metavar="ROUND", help="Add what this round of MLPerf Inference asks of the model.")
    ] = "",
    registry: Registry = "",
    as_json: JsonOutput = False,
) -> None:
    """Show one cell: data set, model files, targets, base; or its Dockerfile, or its bill of materials."""
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find
    from mlperf_docker.errors import UsageError
    from mlperf_docker.recipe.render import recipe_of, render
    from mlperf_docker.rounds import loading
    from mlperf_docker.system import atomic

    if dockerfile and sbom:
        raise UsageError("--dockerfile and --sbom are two different things: ask for one of them.")
    if round_ and (dockerfile or sbom):
        raise UsageError("--round adds to the facts of a cell: leave out --dockerfile and --sbom.")
    catalog = Catalog.load()
    spec = find(catalog, model, backend, device)
    if dockerfile:
        text = render(spec)
    elif sbom:
        from mlperf_docker.engine.client import connect
        from mlperf_docker.images.examining.verify import locate
        from mlperf_docker.images.examining.verify import sbom as sbom_of
        from mlperf_docker.images.sources import Sources

        client = connect()
        text = sbom_of(client, spec, locate(client, recipe_of(spec), Sources(registry or catalog.registry))).decode()
    else:
        columns = None if output else streams.columns()
        in_round = loading.load().require(round_, spec.model.name) if round_ else None
        text = f"{_json(spec, in_round) if as_json else _text(spec, in_round, columns)}\n"
    if output is None:
        sys.stdout.write(text)
        return
    atomic.write_text(output, text)


def _text(spec: "ImageSpec", round_: "Round | None", columns: int | None) -> str:
    from mlperf_docker.catalog.text import spec_text
    from mlperf_docker.display.tables import folded
    from mlperf_docker.rounds.text import model_text

    text = spec_text(spec) if round_ is None else f"{spec_text(spec)}\n{model_text(round_, spec.model.name)}"
    return folded(text, columns, 13)


def _json(spec: "ImageSpec", round_: "Round | None") -> str:
    if round_ is None:
        return spec.model_dump_json(indent=2)
    benchmarks = [each.model_dump(mode="json") for each in round_.benchmarks_of(spec.model.name)]
    of_round = {**round_.model_dump(mode="json"), "benchmarks": benchmarks}
    return strict_json.dumps({**spec.model_dump(mode="json"), "round": of_round})
