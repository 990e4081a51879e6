"""Layout of an image: its paths, user, entry point and environment, and where a build mounts what.

The templates render these values, the script of the install steps reads them, `verify` and `prune` compare with them.
"""

import json
from dataclasses import dataclass

from mlperf_docker.contract import places


@dataclass(frozen=True)
class ImageLayout:
    """The values that all images share."""

    home: str = places.HOME
    """The harness, and the records of what was installed."""
    venv: str = "/opt/venv"
    """The virtual environment with all Python packages."""
    given: tuple[str, ...] = (places.DATA, places.MODELS)
    """Folders that a run reads."""
    made: tuple[str, ...] = (places.CACHE, places.RESULTS)
    """Folders that a run writes to, as any user."""
    user: str = "65532:65532"
    module: str = "mlperf_docker.harness"
    """The package of the harness, which is the entry point."""
    context: str = "/context"
    stage: str = "/tools"
    """Folders of the tools stage: the script of the install steps as it comes, and with pip, as the layers mount it."""
    tools: str = "/run/mlperf"
    layer: str = "/run/layer"
    cache: str = "/run/cache"
    """Mounts of a step: that stage's folder, the layer's part of the build context, pip's downloads."""
    debian_without: tuple[str, ...] = ("doc", "groff", "info", "linda", "lintian", "locale", "man")
    """Folders of /usr/share that a base is without, but for copyrights, as Debian's own slim images are.

    Source: https://github.com/debuerreotype/debuerreotype, .slimify-excludes.
    """

    @property
    def python(self) -> str:
        """The interpreter."""
        return f"{self.venv}/bin/python"

    @property
    def cell(self) -> str:
        """What the harness knows of images.yaml."""
        return places.CELL

    @property
    def requirements(self) -> str:
        """The locked requirements, a file for each layer."""
        return f"{self.home}/requirements"

    @property
    def wheels(self) -> str:
        """The wheels that were taken, a file for each layer."""
        return f"{self.home}/wheels"

    @property
    def bytecode(self) -> str:
        """The hashes of the byte code that the build made, a file for each layer."""
        return f"{self.home}/bytecode"

    @property
    def sbom(self) -> str:
        """The bill of materials."""
        return f"{self.home}/sbom.cdx.json"

    @property
    def working_folder(self) -> str:
        """Where the entry point starts."""
        return self.made[-1]

    @property
    def entry_point(self) -> tuple[str, ...]:
        """The program of the image."""
        return (self.python, "-m", self.module)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of every image; one that has `${…}` begins with the rest.

        MALLOC_*: memory that was freed is kept and used again. By default glibc hands every tensor's memory back to the
        kernel and has the next one's faulted in and zeroed; PyTorch, which allocates each activation anew, loses a
        quarter by it.
        """
        return {
            "HOME": "/tmp",  # noqa: S108  # the one folder besides `made` that any user may write to
            places.CELL_VARIABLE: self.cell,
            "PATH": f"{self.venv}/bin:${{PATH}}",
            "PYTHONPATH": self.home,
            "PYTHONDONTWRITEBYTECODE": "1",
            "MALLOC_MMAP_MAX_": "0",
            "MALLOC_TRIM_THRESHOLD_": "1099511627776",
        }

    @property
    def install(self) -> str:
        """The script of the install steps, as a step calls it."""
        return f"{self.tools}/install"

    @property
    def step_marks(self) -> tuple[str, ...]:
        """Words that only steps of ours have, in Dockerfiles of any version: today's, and those of earlier ones."""
        earlier = ("PIP_CONFIG_FILE=/run/host/pip.conf /opt/venv/bin/python -m pip ", "python -m mlperf_docker.harness")
        return (f"{self.install} ", *earlier)

    def places(self) -> bytes:
        """Return layout.json, which the script of the install steps reads."""
        names = ("home", "venv", "requirements", "wheels", "bytecode", "sbom", "stage", "layer", "cache")
        return (json.dumps({name: getattr(self, name) for name in names}, indent=2) + "\n").encode()


LAYOUT = ImageLayout()
