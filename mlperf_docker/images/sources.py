"""Sources that an image may come from: engine, registry, build."""

from dataclasses import dataclass

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import parse_choice
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.names import PullPolicy
from mlperf_docker.registry.references import has_host


@dataclass(frozen=True)
class Sources:
    """Where an image may come from.

    registry: names the images; base: an image to build on instead of the cell's own, or ""; bootstrap: whether a base
    may be made from the Debian mirror; pull: when the registry is asked; rebuild: run every step again; cached: take
    layers from the image that the cell's moving tag names, on the engine or in the registry; unpinned: take the cell's
    own base by its tag, whatever its digest.
    """

    registry: str
    base: str = ""
    bootstrap: bool = False
    pull: PullPolicy = PullPolicy.NEVER
    rebuild: bool = False
    cached: bool = False
    unpinned: bool = False

    def given_base(self, spec: ImageSpec) -> str:
        """Return the base that *spec* is to stand on because the user says so, or ""."""
        return self.base or (spec.base.reference if self.unpinned else "")

    @property
    def has_registry(self) -> bool:
        """Whether the registry names a host. A bare name would be a stranger's namespace on Docker Hub."""
        return has_host(self.registry)


def sources_of(catalog: Catalog, registry: str, *, base: str, bootstrap: bool, pull: str) -> Sources:
    """Return what a command's options say. pull: a word of the command line. Raises UnknownNameError."""
    policy = parse_choice("pull policy", pull, PullPolicy)
    return Sources(registry or catalog.registry, base=base, bootstrap=bootstrap, pull=policy)
