"""Folders of installed libraries that images leave out: test suites, and headers to build against. Pure."""

from collections.abc import Iterable

from mlperf_docker.catalog.requirement_names import canonical
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.recipe.requirements import layers


def of_layers(spec: ImageSpec) -> dict[str, tuple[str, ...]]:
    """Return layer → folders below site-packages that it does without; `**` is any depth, also none."""
    return {
        layer: tuple(each for name in map(canonical, wanted) for each in spec.left_out.get(name, ()))
        for layer, wanted in layers(spec).items()
    }


def of_image(spec: ImageSpec) -> str:
    """Return the regular expression of what is left out of the image of *spec*; it matches nothing without any."""
    folders = [folder for found in of_layers(spec).values() for folder in found]
    return expression(folders) or "(?!)"


def expression(folders: Iterable[str]) -> str:
    """Return the regular expression that matches *folders* as paths below site-packages."""
    return "|".join(folder.replace("**/", "(.*/)?") for folder in folders)
