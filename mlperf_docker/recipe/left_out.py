"""Folders of installed libraries that images do without: test suites, and headers to build against. Pure."""

from collections.abc import Iterable

from mlperf_docker.catalog.requirement_names import canonical
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.recipe.requirements import layers


def of_layers(spec: ImageSpec) -> dict[str, str]:
    """Return layer → expression of what is left out of it, of the layers of *spec* that leave anything out."""
    folders = {
        layer: [each for name in map(canonical, wanted) for each in spec.left_out.get(name, ())]
        for layer, wanted in layers(spec).items()
    }
    return {layer: expression(found) for layer, found in folders.items() if found}


def of_image(spec: ImageSpec) -> str:
    """Return the expression of what is left out of the image of *spec*; it matches nothing where that is nothing."""
    return "|".join(of_layers(spec).values()) or "(?!)"


def expression(folders: Iterable[str]) -> str:
    """Return the regular expression of *folders*, paths below site-packages in which `**` is any depth, also none.

    For find with POSIX's extended expressions, and for Python.
    """
    return "|".join(folder.replace("**/", "(.*/)?") for folder in folders)
