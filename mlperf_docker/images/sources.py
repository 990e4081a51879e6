"""Sources that an image may come from: engine, bundle, registry, build."""

from dataclasses import dataclass, replace
from pathlib import Path

from mlperf_docker.catalog.pinned_base import PinnedBase
from mlperf_docker.errors import UsageError
from mlperf_docker.names import PullPolicy, RuntimeName
from mlperf_docker.registry.references import has_host, image_name, parted


@dataclass(frozen=True)
class PinnedImage:
    """Image of a cell in a registry, pinned by its digest: `<registry>/<model>@sha256:…`."""

    registry: str
    digest: str

    @classmethod
    def read(cls, text: str, model: str) -> "PinnedImage":
        """Return what *text* says of an image of *model*. Raises UsageError."""
        name, digest, _ = parted(image_name(text))
        registry, _, last = name.rpartition("/")
        if not digest or last != model or not has_host(registry):
            raise UsageError(f"{text!r} pins no image of {model}: write HOST/PATH/{model}@sha256:…, without a tag")
        return cls(registry, digest)


@dataclass(frozen=True)
class Sources:
    """Sources that an image may come from."""

    registry: str
    """Registry of the images' names."""
    base: str | None = None
    """An image to build on instead of the cell's own."""
    bootstrap: bool = False
    """True if a base may be made from the Debian mirror."""
    pull: PullPolicy = PullPolicy.NEVER
    """Policy of asking the registry."""
    rebuild: bool = False
    """True if every step runs again."""
    cached: bool = False
    """Take layers from the image that the cell's moving tag names, on the engine or in the registry."""
    bundle: Path | None = None
    """Folder of the bundle that an image comes from where it is not on the engine; then none is pulled or built."""
    digest: str | None = None
    """Digest of the image in the registry, `sha256:…`: no other image will do, and none is built."""
    unpinned: bool = False
    """Take the cell's own base by its tag, whatever its digest."""
    runtime: RuntimeName | None = None
    """The runtime that is to have it, and runs it; None for a campaign's, else a Docker engine."""

    def given_base(self, pinned: PinnedBase) -> str | None:
        """Return the base that an image is to stand on in place of *pinned* because the user says so, or None."""
        return self.base or (pinned.reference if self.unpinned else None)

    def pinned(self, image: "PinnedImage | None") -> "Sources":
        """Return the sources of a cell whose image is to be *image*, if it is pinned."""
        return replace(self, registry=image.registry, digest=image.digest) if image else self

    @property
    def has_registry(self) -> bool:
        """Whether the registry names a host. A bare name would be a stranger's namespace on Docker Hub."""
        return has_host(self.registry)
