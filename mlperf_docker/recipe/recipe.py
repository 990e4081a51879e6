"""Recipe of an image: a cell's spec with everything that its image is made from, and the names that follow from it.

Made once by `render.recipe_of`, then handed to whatever builds, looks for or compares the image.
"""

from dataclasses import dataclass
from functools import cached_property

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.recipe import image_labels
from mlperf_docker.recipe.build_inputs import BuildInputs
from mlperf_docker.recipe.identity import BaseName, Identity
from mlperf_docker.recipe.origin import Origin


@dataclass(frozen=True)
class Recipe:
    """Recipe of one cell's image, on any base."""

    spec: ImageSpec
    inputs: BuildInputs

    def __str__(self) -> str:
        return str(self.spec)

    @cached_property
    def identity(self) -> Identity:
        """What the names of the image follow from."""
        base = self.spec.base
        return Identity(str(self.spec), self.inputs.digest.hex(), BaseName(base.reference, base.digest, base.suite))

    @property
    def source(self) -> str:
        """Hash over everything but the base, which differs from host to host."""
        return self.content("")

    def content(self, base_identity: str) -> str:
        """Return the hash of the image on the base with this identity."""
        return self.identity.content(base_identity)

    def labels(self, origin: Origin) -> dict[str, str]:
        """Return the labels of the image that is built from *origin*."""
        return image_labels.labels(self.spec, self.inputs, self.content(origin.base_identity), origin)
