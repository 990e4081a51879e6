"""Kinds of images: the forms that container runtimes take them in, and where a bundle has each."""

from enum import StrEnum

IMAGES = "images.tar"
LAYOUT = "oci"


class ImageKind(StrEnum):
    """Form that a container runtime takes an image in."""

    DOCKER = "docker"
    """An archive of all images, as `docker load` takes it."""
    OCI = "oci"
    """A folder of all images, an OCI layout."""
    SIF = "sif"
    """A file of Apptainer's and Singularity's for each image."""
    SQSH = "sqsh"
    """A squashfs file for each image, as enroot and pyxis take it."""
    ROOT = "root"
    """A folder for each image: its unpacked root. Nodes have it in their caches; no bundle does."""

    def place(self, name: str) -> str:
        """Return the path of the image *name* below a bundle's folder."""
        return {ImageKind.DOCKER: IMAGES, ImageKind.OCI: LAYOUT}.get(self, f"{self.value}/{name}.{self.value}")


BUNDLED = tuple(kind for kind in ImageKind if kind is not ImageKind.ROOT)
"""Kinds that a bundle can have."""
HOLDING_ALL = (ImageKind.DOCKER, ImageKind.OCI)
"""Kinds that have layers, so that the others can be made of them."""
