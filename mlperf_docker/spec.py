"""Frozen values that describe the catalog. They come complete out of `Catalog.load`; what may be missing says so."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlperf_docker.names import Backend, Device, Precision, Scenario

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Url = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.-]+/\S+$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Folder = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(/(\*\*|[A-Za-z0-9_]+))*/[A-Za-z0-9_]+$")]
ModelFormat = Literal["onnx", "frozen-graph", "saved-model", "checkpoint", "torchscript", "state-dict"]


class Frozen(BaseModel):
    """A value: immutable, and strict about the keys it takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BaseImage(Frozen):
    """A base image, by tag and digest.

    recorded: the day on which the registry had this digest under the tag, None where it was never asked; dated: the tag
    of the same image that never moves, where it is known; suite: the suite that stands in when no registry can be
    reached; python: the version its packages bring.
    """

    name: Name
    reference: str
    digest: Digest
    suite: str
    python: str
    recorded: dt.date | None = None
    dated: str = ""

    @property
    def pinned(self) -> str:
        """The reference that `FROM` takes: tag for people, digest for machines."""
        return f"{self.reference}@{self.digest}"


class ModelFile(Frozen):
    """An official model file: where it is offered, and how to know that it is the right one.

    Without a checksum nobody published one. reported: the accuracy that upstream states for it, in the metric's unit.
    """

    name: FileName
    backend: Backend
    precision: Precision
    format: ModelFormat
    urls: tuple[Url, ...] = Field(min_length=1)
    md5: Md5 | None = None
    sha256: Sha256 | None = None
    reported: float | None = None
    note: str = ""


class DatasetFile(Frozen):
    """A file that a data set is made from, or that goes with it: a vocabulary, a list of labels."""

    name: FileName
    urls: tuple[Url, ...] = Field(min_length=1)
    md5: Md5 | None = None
    sha256: Sha256 | None = None
    note: str = ""


class DatasetSpec(Frozen):
    """A data set as the user has it on disk. marker: the file whose presence tells that the folder is the right one.

    other_markers: those of other layouts that serve as well. count: samples that LoadGen sees. files: what is offered
    for download, where anything is.
    """

    name: Name
    title: str
    marker: str
    other_markers: tuple[str, ...] = ()
    count: int = Field(gt=0)
    source: Url
    licence: str
    files: tuple[DatasetFile, ...] = ()
    note: str = ""


class AccuracyTarget(Frozen):
    """The metric of a benchmark, its reference value, and the least value that a closed submission must reach.

    target is 99 % of the reference; high_target 99.9 %, where the benchmark has that level too.
    """

    metric: str
    unit: str
    reference: float
    target: float
    high_target: float | None = None


class ModelSpec(Frozen):
    """One benchmark: what every cell of it shares. loadgen_key: the name under which mlperf.conf knows it."""

    name: str
    title: str
    loadgen_key: str
    dataset: DatasetSpec
    default_backend: Backend
    scenarios: tuple[Scenario, ...]
    accuracy: AccuracyTarget
    files: tuple[ModelFile, ...]


class ImageSpec(Frozen):
    """One cell of the matrix: a model on a backend on a device, and everything its image is made from.

    requirements are in layer order, slowest to change first; lock is the file name below locks/. own_index: where the
    backend's wheels are that the public index does not hold, or None. left_out: requirement by canonical name → folders
    below site-packages that come with it and no run needs, where `**` is any depth.
    """

    model: ModelSpec
    backend: Backend
    device: Device
    base: BaseImage
    precisions: tuple[Precision, ...]
    implemented: bool
    apt: tuple[str, ...]
    common_requirements: tuple[str, ...]
    backend_requirements: tuple[str, ...]
    model_requirements: tuple[str, ...]
    own_index: Url | None
    left_out: dict[str, tuple[Folder, ...]]

    @property
    def variant(self) -> str:
        """`<backend>-<device>`: the moving tag, and the stem of the lock."""
        return f"{self.backend}-{self.device}"

    @property
    def dockerfile(self) -> str:
        """Path below dockerfiles/."""
        return f"{self.model.name}/{self.variant}.Dockerfile"

    @property
    def lock(self) -> str:
        """File name below locks/."""
        return f"{self.variant}.txt"

    def __str__(self) -> str:
        return f"{self.model.name}:{self.variant}"

    def file(self, precision: Precision) -> ModelFile | None:
        """Return the first official file for *precision* on this backend, or None where it has none of its own."""
        return next((f for f in self.model.files if f.backend is self.backend and f.precision is precision), None)
