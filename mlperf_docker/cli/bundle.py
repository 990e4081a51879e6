"""`mlperf-docker bundle`: images, locks and model files in one folder, for hosts without a network."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mlperf_docker.cli.on_demand import OnDemand
from mlperf_docker.cli.options import (
    BaseImageName,
    EveryCell,
    ImagesOf,
    JsonOutput,
    OptionalModelName,
    Registry,
    SomeBackend,
    SomeDevice,
    user_path,
)
from mlperf_docker.display import streams
from mlperf_docker.names import HarnessName
from mlperf_docker.system import strict_json

Folder = Annotated[Path, typer.Argument(parser=user_path, metavar="FOLDER", help="A folder that `bundle write` made.")]


class WritesByDefault(OnDemand):
    """Takes `bundle MODEL …` for `bundle write MODEL …`: no model is called like a sub-command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # click's, or Typer's own copy of it
        """Put `write` before what is neither a sub-command nor a request for help."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["write", *args]
        return super().parse_args(ctx, args)


def write(
    model: OptionalModelName = "",
    *,
    to: Annotated[
        Path, typer.Option("--to", parser=user_path, metavar="FOLDER", help="A folder that does not exist yet.")
    ],
    backend: SomeBackend = "",
    device: SomeDevice = "",
    every: EveryCell = False,
    harness: ImagesOf = HarnessName.OWN,
    models: Annotated[
        str,
        typer.Option(
            "--models",
            metavar="WHICH",
            help="Model files: present takes the local ones, all fails if an official one is missing, none.",
        ),
    ] = "present",
    kinds: Annotated[
        list[str],
        typer.Option(
            "--format",
            metavar="KIND",
            help="docker (an archive), oci (a layout), sif (Apptainer) or sqsh (enroot, pyxis). Repeatable.",
        ),
    ] = ["docker"],  # noqa: B006  # Typer's
    base: BaseImageName = "",
    registry: Registry = "",
    as_json: JsonOutput = False,
) -> None:
    """Write local images, their locks and model files into a folder for `bundle load`. Prints its path.

    The folder gets its name when it is complete. Exits 2 if an image is missing, 10 if the disk is full.
    """
    from mlperf_docker.bundle.kinds import BUNDLED
    from mlperf_docker.bundle.writing import Models, WriteRequest
    from mlperf_docker.bundle.writing import write as write_bundle
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import parse_choice, select
    from mlperf_docker.display.progress import display
    from mlperf_docker.engine.client import connect
    from mlperf_docker.images.sources import Sources
    from mlperf_docker.recipe.reference_layer import recipes

    catalog = Catalog.load()
    chosen = recipes(select(catalog, model, backend, device, every=every), harness, every=every)
    which = parse_choice("choice of model files", models, Models)
    formats = tuple(dict.fromkeys(parse_choice("format of a bundle", each, BUNDLED) for each in kinds))
    request = WriteRequest(tuple(chosen), Sources(registry or catalog.registry, base=base or None), to, which, formats)
    with display() as show:
        manifest = write_bundle(connect(), request, show)
    streams.out(strict_json.dumps(manifest.model_dump(mode="json")) if as_json else to)


def load(
    folder: Folder,
    *,
    force: Annotated[
        bool,
        typer.Option("--force", help="Load images of another version too, and replace model files that differ."),
    ] = False,
    registry: Registry = "",
    as_json: JsonOutput = False,
) -> None:
    """Check a bundle, then load its images and model files; needs no network. Prints the tag of each image.

    Nothing is loaded if anything is wrong; existing images and files stay. Exits 10 if the bundle is damaged.
    """
    from mlperf_docker.bundle.loading import BundleRequest
    from mlperf_docker.bundle.loading import load as load_bundle
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.display.progress import display
    from mlperf_docker.engine.client import connect

    catalog = Catalog.load()
    with display() as show:
        loaded = load_bundle(connect(), catalog, BundleRequest(folder, registry or catalog.registry, force), show)
    if as_json:
        streams.out(strict_json.dumps({"images": loaded.tags, "model_files": list(map(str, loaded.model_files))}))
    else:
        streams.out("\n".join(loaded.tags))


def verify(folder: Folder, *, as_json: JsonOutput = False) -> None:
    """Check every file of a bundle against its manifest; needs no engine. Exits 10 if anything is wrong."""
    from mlperf_docker.bundle.checking import check
    from mlperf_docker.bundle.text import bundle_text
    from mlperf_docker.display.progress import display

    with display() as show:
        manifest = check(folder, show)
    streams.out(strict_json.dumps(manifest.model_dump(mode="json")) if as_json else bundle_text(manifest))
