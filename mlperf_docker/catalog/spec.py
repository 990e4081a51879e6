"""Immutable models of the catalog, built by `Catalog.load`. Optional fields are typed `… | None`."""

import datetime as dt
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mlperf_docker.catalog.fields import (
    DataPath,
    Digest,
    FileName,
    Folder,
    Frozen,
    Md5,
    Name,
    PythonVersion,
    Setting,
    Sha256,
    Suffix,
    Url,
    Variable,
)
from mlperf_docker.catalog.pinned_base import PinnedBase
from mlperf_docker.catalog.reference import ReferenceSpec
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.options import Declared
from mlperf_docker.contract.scores import Bound, Sense
from mlperf_docker.contract.words import ComplianceTest, Precision, Scenario
from mlperf_docker.names import cell_name, variant_name

HarnessCommand = Literal["run", "convert", "convert-data"]
"""Commands of the harness that take options of a model."""
ITEM = "{item}"


class BaseImage(PinnedBase, Frozen):
    """A base image, by tag and digest."""

    name: Name
    reference: str
    digest: Digest
    suite: str
    """Suite of Debian that stands in if no registry can be reached, whatever the base's distribution."""
    python: str
    """Version of Python in the base's packages."""
    recorded: dt.date | None = None
    """Day on which the registry had this digest under the tag; None if it was never asked."""


class ModelFile(Frozen):
    """An official model file: where it is offered, and how to know that it is the right one."""

    name: FileName
    backend: Name
    precision: Precision
    format: Name
    urls: tuple[Url, ...] = Field(min_length=1)
    md5: Md5 | None = None
    """None if upstream published no checksum."""
    sha256: Sha256 | None = None
    """None if upstream published no checksum."""
    reported: float | None = None
    """Accuracy that upstream states for the file, in the metric's unit."""
    note: str = ""


class DatasetFile(Frozen):
    """A file that a data set is made from, or that goes with it: a vocabulary, a list of labels."""

    name: FileName
    urls: tuple[Url, ...] = Field(min_length=1)
    md5: Md5 | None = None
    sha256: Sha256 | None = None
    path: DataPath = ""
    """Path below the data set's folder; by default the file's name."""
    archive: Literal["tar", "zip"] | None = None
    """Format of the archive to unpack there; None if the file is no archive."""
    members: dict[FileName, DataPath] = Field(default_factory=dict)
    """Members to unpack, name → path; all of them if empty."""
    account: bool = False
    """True if a download needs an account: then the file is not fetched, but unpacked once the user has put it there.
    """
    optional: bool = False
    """True if the file is fetched only on request."""
    size_bytes: int | None = Field(default=None, gt=0)
    """Approximate size of the download; None if not published."""
    note: str = ""

    @property
    def target(self) -> str:
        """Where it belongs below the data set's folder."""
        return self.path or self.name

    @model_validator(mode="after")
    def _members_are_of_an_archive(self) -> Self:
        if self.members and self.archive is None:
            raise ValueError(f"{self.name} has members, and does not say which archive it is: tar or zip")
        return self


class DatasetSeries(Frozen):
    """Files of one kind that are fetched one by one; `{item}` in addresses and path stands for each one's own part."""

    name: FileName
    urls: tuple[Url, ...] = Field(min_length=1)
    path: DataPath
    items: tuple[FileName, ...] = ()
    """Parts of the names; if there are too many, `listed_in` names the annotations whose images they are."""
    listed_in: DataPath | None = None
    md5s: dict[str, Md5] = Field(default_factory=dict)
    """Published checksums, by item."""
    size_bytes: int | None = Field(default=None, gt=0)
    """Approximate size of all items together."""
    note: str = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if bool(self.items) == (self.listed_in is not None):
            raise ValueError(f"{self.name} needs either items or listed_in")
        without = [text for text in (*self.urls, self.path) if ITEM not in text]
        if without:
            raise ValueError(f"{self.name} has files of one name: {ITEM} is not in {', '.join(without)}")
        unknown = sorted(self.md5s.keys() - set(self.items))
        if unknown:
            raise ValueError(f"{self.name} has no item {', '.join(unknown)}, and its md5s name it")
        return self


class DatasetSpec(Frozen):
    """A data set as the user has it on disk."""

    name: Name
    title: str
    marker: str
    """File whose presence tells that the folder is the right one."""
    other_markers: tuple[str, ...] = ()
    """Markers of other layouts that serve as well."""
    count: int = Field(gt=0)
    """Number of samples that LoadGen sees."""
    source: Url
    licence: str
    files: tuple[DatasetFile, ...] = ()
    """Files offered for download."""
    series: tuple[DatasetSeries, ...] = ()
    """Series of files offered for download."""
    convert: bool = False
    """True if the downloaded files have to be converted by `data convert`."""
    note: str = ""


class ScoreTarget(Frozen):
    """Target of one score: its reference value, and what a closed submission must reach."""

    metric: Annotated[str, Field(min_length=1)]
    unit: str
    reference: float
    sense: Sense = Sense.AT_LEAST
    """How a value is compared with its targets."""
    target: Bound
    """The bound of the benchmark's usual level, often 99 % of the reference."""
    high_target: Bound | None = None
    """The bound of its higher level, often 99.9 %; None if the benchmark has one level."""

    @model_validator(mode="after")
    def _targets_fit(self) -> Self:
        bounds = [bound for bound in (self.target, self.high_target) if bound is not None]
        if self.sense is Sense.EXACTLY:
            raise ValueError("only synthetic runs have a value that is known exactly")
        if any(isinstance(bound, tuple) is not (self.sense is Sense.BETWEEN) for bound in bounds):
            raise ValueError("a target is one number; with `sense: between` it is two, the least and the greatest")
        if not _narrowing(self.sense, bounds, self.reference):
            sides = {Sense.AT_LEAST: "above", Sense.AT_MOST: "below"}
            side = sides.get(self.sense, "away from")
            raise ValueError(f"a target must not be {side} the reference, nor target {side} high_target")
        return self


def _narrowing(sense: Sense, bounds: list[Bound], reference: float) -> bool:
    """Whether each of *bounds* allows less than the one before it, and all of them allow *reference*."""
    least = [bound[0] if isinstance(bound, tuple) else bound for bound in bounds if sense is not Sense.AT_MOST]
    greatest = [bound[1] if isinstance(bound, tuple) else bound for bound in bounds if sense is not Sense.AT_LEAST]
    rising = [*least, reference, *reversed(greatest)]
    return rising == sorted(rising)


class ComplianceSpec(Frozen):
    """Compliance tests that rounds ask of a benchmark, and what they take."""

    tests: tuple[ComplianceTest, ...] = Field(min_length=1)
    sampling_target: int = Field(gt=0)
    """About how many answers TEST01 logs."""


class BackendSpec(Frozen):
    """Properties of a backend that are the same on every device."""

    name: Name
    formats: tuple[Name, ...] = Field(min_length=1)
    """Formats of official model files that its container reads."""
    suffixes: tuple[Suffix, ...] = ()
    """Suffixes of model files that are taken for one of these; .safetensors, which every backend reads, is none."""
    writes: tuple[Suffix, ...] = ()
    """Suffixes of model files that it writes besides .safetensors."""


class ModelOption(Frozen):
    """An option that only one model has, on the command lines of host and harness."""

    name: Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)*$")]
    help: str
    metavar: str = "N"
    choices: tuple[Name, ...] = ()
    """The words that it takes; empty if it takes a whole number."""
    least: int = 1
    """The least number that it takes."""

    @property
    def declared(self) -> Declared:
        """The option as the harness knows it."""
        return Declared(self.name, self.choices, self.least)


class ModelSpec(Frozen):
    """Properties of a benchmark that all of its cells share."""

    name: str
    title: str
    loadgen_key: str
    """Name of the benchmark in mlperf.conf."""
    input_types: tuple[Name, ...]
    """Number formats of what the network takes in."""
    dataset: DatasetSpec
    default_backend: Name
    scenarios: tuple[Scenario, ...]
    accuracy: tuple[ScoreTarget, ...]
    compliance: ComplianceSpec | None
    """None for a benchmark that no round has."""
    options: dict[HarnessCommand, tuple[ModelOption, ...]]
    """Command of the harness → options that only this model has for it."""
    reference: ReferenceSpec | None
    """Its reference implementation; None where no one tried it."""
    files: tuple[ModelFile, ...]

    def options_of(self, command: str) -> tuple[ModelOption, ...]:
        """The options that only this model has for *command*."""
        return next((options for name, options in self.options.items() if name == command), ())


class ImageSpec(Frozen):
    """Cell of the matrix: a model on a backend on a device, and everything its image is made from.

    requirements are in layer order, slowest to change first; lock is the file name below locks/.
    """

    model: ModelSpec
    backend: Name
    device: Device
    base: BaseImage
    pythons: tuple[PythonVersion, ...]
    """Versions of Python that the lock serves, and a base may have; the oldest first."""
    precisions: tuple[Precision, ...]
    apt: tuple[str, ...]
    common_requirements: tuple[str, ...]
    backend_requirements: tuple[str, ...]
    model_requirements: tuple[str, ...]
    distribution: Name
    """Python distribution that carries the backend itself."""
    own_index: Url | None
    """Index with the backend's wheels that the public index does not hold; None if there is none."""
    left_out: dict[str, tuple[Folder, ...]]
    """Requirement by canonical name → folders below site-packages that come with it and no run needs, where `**` is any
    depth."""
    environment: dict[Variable, Setting]
    """Environment variables of its images, besides those of every image."""

    @property
    def variant(self) -> str:
        """`<backend>-<device>`: the moving tag, and the stem of the lock."""
        return variant_name(self.backend, self.device)

    @property
    def dockerfile(self) -> str:
        """Path below dockerfiles/."""
        return f"{self.model.name}/{self.variant}.Dockerfile"

    @property
    def lock(self) -> str:
        """File name below locks/."""
        return f"{self.variant}.txt"

    @property
    def words(self) -> str:
        """The words that name this cell on a command line."""
        return f"{self.model.name} -b {self.backend} -d {self.device}"

    def __str__(self) -> str:
        return cell_name(self.model.name, self.backend, self.device)


class AbsentCell(Frozen):
    """A cell that is not offered, and why."""

    model: ModelSpec
    backend: Name
    device: Device
    reason: str

    @property
    def variant(self) -> str:
        """`<backend>-<device>`."""
        return variant_name(self.backend, self.device)

    def __str__(self) -> str:
        return cell_name(self.model.name, self.backend, self.device)
