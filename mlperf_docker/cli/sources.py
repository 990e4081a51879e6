"""Options of commands that need an image, as the sources that it may come from."""

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import parse_choice
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import PullPolicy


def sources_of(catalog: Catalog, registry: str, *, base: str, bootstrap: bool, pull: str) -> Sources:
    """Return what a command's options say. pull: a word of the command line. Raises UnknownNameError."""
    policy = parse_choice("pull policy", pull, PullPolicy)
    return Sources(registry or catalog.registry, base=base or None, bootstrap=bootstrap, pull=policy)
