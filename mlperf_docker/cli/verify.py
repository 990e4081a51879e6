"""`mlperf-docker verify`."""

from typing import TYPE_CHECKING, Annotated

import typer

from mlperf_docker.cli.options import (
    BaseImageName,
    ImagesOf,
    JsonOutput,
    OptionalModelName,
    Registry,
    SomeBackend,
    SomeDevice,
)
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.display import streams
from mlperf_docker.names import HarnessName
from mlperf_docker.system import strict_json

if TYPE_CHECKING:
    from mlperf_docker.engine.engine import Engine
    from mlperf_docker.images.sources import Sources
    from mlperf_docker.recipe.recipe import Recipe


def verify(
    model: OptionalModelName = "",
    *,
    backend: SomeBackend = "",
    device: SomeDevice = "",
    every: Annotated[bool, typer.Option("--all", help="Every local image that the other options leave.")] = (False),
    harness: ImagesOf = HarnessName.OWN,
    image: Annotated[str, typer.Option("--image", metavar="IMAGE", help="Another image of the cell.")] = "",
    base: BaseImageName = "",
    registry: Registry = "",
    as_json: JsonOutput = False,
) -> None:
    """Compare an image with its spec, its hash, its labels and its bill of materials, and print each difference.

    The engine exports the image's files; nothing of it runs. Exits 1 if there is a difference.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import select
    from mlperf_docker.display.progress import display
    from mlperf_docker.engine.client import connect
    from mlperf_docker.errors import UsageError
    from mlperf_docker.images.examining.verify import verify as examine
    from mlperf_docker.images.sources import Sources
    from mlperf_docker.recipe.reference_layer import recipes

    if every and image:
        raise UsageError("--image names one image; leave --all out.")
    catalog = Catalog.load()
    chosen = recipes(select(catalog, model, backend, device, every=every), harness, every=every)
    sources = Sources(registry or catalog.registry, base=base or None)
    client = connect()
    if every:
        wanted = _present(client, chosen, sources)
    else:
        wanted = [(recipe, image or _located(client, recipe, sources)) for recipe in chosen]
    with display() as show:
        verdicts = [examine(client, recipe, reference, show) for recipe, reference in wanted]
    if as_json:
        streams.out(strict_json.dumps([each.fields() for each in verdicts]))
    else:
        for line in (line for each in verdicts for line in each.lines()):
            streams.out(line)
    if any(each.differences for each in verdicts):
        raise typer.Exit(ExitCode.INVALID)


def _located(client: "Engine", recipe: "Recipe", sources: "Sources") -> str:
    from mlperf_docker.images.examining.verify import locate

    return locate(client, recipe, sources)


def _present(client: "Engine", recipes: "list[Recipe]", sources: "Sources") -> "list[tuple[Recipe, str]]":
    """Return those cells whose image is here, and say which are not. Raises the error of the first if none is."""
    from mlperf_docker.images.examining.verify import ImageAbsentError

    found, absent = [], []
    for recipe in recipes:
        try:
            found.append((recipe, _located(client, recipe, sources)))
        except ImageAbsentError as error:
            absent.append((recipe, error))
    if not found:
        raise absent[0][1]
    if absent:
        streams.err(f"Not here: {', '.join(str(spec) for spec, _ in absent)}")
    return found
