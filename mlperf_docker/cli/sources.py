"""Options of commands that need an image, as the sources that it may come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlperf_docker.cli.options import BaseImageName, BootstrapBase, Registry, in_place_of, keywords, user_path

if TYPE_CHECKING:
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.images.sources import Sources

PullChoice = Annotated[str, typer.Option("--pull", help="When to pull the image: always, missing or never.")]
BundleFolder = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        parser=user_path,
        metavar="DIR",
        help="Take an image that is not here from this bundle, loaded once for each node; pull and build none.",
    ),
]
RuntimeChoice = Annotated[
    str,
    typer.Option(
        "--runtime",
        envvar="MLPERF_DOCKER_RUNTIME",
        metavar="NAME",
        help="What runs containers: docker, podman, apptainer, singularity, enroot, pyxis or charliecloud; all but"
        " docker take images from --bundle. Default: the campaign's, else docker.",
    ),
]
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "pull": (PullChoice, "missing"),
    "base": (BaseImageName, ""),
    "bootstrap_base": (BootstrapBase, False),
    "registry": (Registry, ""),
    "bundle": (BundleFolder, None),
    "runtime": (RuntimeChoice, ""),
}
"""Type and default of each, by name."""


@dataclass(frozen=True)
class GivenSources:
    """The options as they were typed."""

    pull: str
    base: str
    bootstrap_base: bool
    registry: str
    bundle: Path | None
    runtime: str

    def words(self) -> list[str]:
        """Return them as words of a command line on another host, without those that have their default."""
        found = []
        for name, (_, default) in _OPTIONS.items():
            value, flag = getattr(self, name), f"--{name.replace('_', '-')}"
            if value != default:
                found += [flag] if value is True else [flag, str(value)]
        return found

    def of(self, catalog: "Catalog") -> "Sources":
        """Return what they say. Raises UnknownNameError."""
        from mlperf_docker.catalog.selector import parse_choice
        from mlperf_docker.images.sources import Sources
        from mlperf_docker.names import PullPolicy, RuntimeName

        policy = parse_choice("pull policy", self.pull, PullPolicy)
        registry = self.registry or catalog.registry
        return Sources(
            registry,
            base=self.base or None,
            bootstrap=self.bootstrap_base,
            pull=policy,
            bundle=self.bundle,
            runtime=parse_choice("runtime", self.runtime, RuntimeName) if self.runtime else None,
        )


taking_sources = in_place_of(
    "sources",
    keywords(_OPTIONS),
    lambda values: GivenSources(**values),
)
"""Gives a command these options in place of its parameter `sources`."""
