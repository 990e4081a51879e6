"""Recipe of an image: a cell's spec with everything that its image is made from, and the names that follow from it.

Made once by `render.recipe_of`, then handed to whatever builds, looks for or compares the image.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.names import HarnessName
from mlperf_docker.recipe import image_labels
from mlperf_docker.recipe.build_inputs import BuildInputs
from mlperf_docker.recipe.identity import BaseName, Identity
from mlperf_docker.recipe.layout import LAYOUT
from mlperf_docker.recipe.origin import Origin


@dataclass(frozen=True)
class Recipe:
    """Recipe of one cell's image, on any base."""

    spec: ImageSpec
    inputs: BuildInputs
    below: "Recipe | None" = None
    """Recipe of the cell's image that it stands on with a layer for the reference implementation; None for a cell's."""
    reference: str | None = None
    """Commit of the reference that the layer is for."""
    module: str = LAYOUT.module
    """The package that is the entry point."""

    def __str__(self) -> str:
        return f"{self.spec}-{HarnessName.REFERENCE}" if self.below else str(self.spec)

    @property
    def words(self) -> str:
        """Words of a command line that name its image."""
        return f"{self.spec.words} --harness {HarnessName.REFERENCE}" if self.below else self.spec.words

    @property
    def entry_point(self) -> tuple[str, ...]:
        """The program of the image."""
        return (LAYOUT.python, "-m", self.module)

    @cached_property
    def identity(self) -> Identity:
        """What the names of the image follow from."""
        base = self.spec.base
        return Identity(str(self), self._digest, BaseName(base.reference, base.digest, base.suite))

    @property
    def _digest(self) -> str:
        """Digest of all build inputs, those of the image below among them, in hexadecimal."""
        own = self.inputs.digest.hex()
        return hashlib.sha256(f"{own} on {self.below.identity.inputs}".encode()).hexdigest() if self.below else own

    @property
    def source(self) -> str:
        """Hash over everything but the base, which differs from host to host."""
        return self.content("")

    def content(self, base_identity: str) -> str:
        """Return the hash of the image on the base with this identity."""
        return self.identity.content(base_identity)

    def labels(self, origin: Origin, content: str | None = None) -> dict[str, str]:
        """Return the labels of the image that is built from *origin*. content: its hash, where not today's."""
        found = content if content is not None else self.content(origin.base_identity)
        own = image_labels.labels(self.spec, self.all_inputs, found, origin)
        return own if self.reference is None else image_labels.of_reference(own, str(self), self.reference)

    @property
    def all_inputs(self) -> BuildInputs:
        """The inputs with files and layers of the image below."""
        if self.below is None:
            return self.inputs
        below, own = self.below.inputs, self.inputs
        return replace(own, files=(*below.files, *own.files), layers=(*below.layers, *own.layers))
