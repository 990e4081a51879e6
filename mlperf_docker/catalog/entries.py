"""Entries of images.yaml as they are written, section by section."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mlperf_docker.catalog.fields import (
    AptPackage,
    Folder,
    Frozen,
    Name,
    PythonVersion,
    Requirement,
    Setting,
    Url,
    Variable,
)
from mlperf_docker.catalog.reference import ReferenceSpec
from mlperf_docker.catalog.spec import (
    BackendSpec,
    BaseImage,
    ComplianceSpec,
    DatasetSpec,
    HarnessCommand,
    ModelFile,
    ModelOption,
    ScoreTarget,
)
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import Precision, Scenario

DEFAULT_PRECISIONS = (Precision.FP32,)

RegistryName = Annotated[str, Field(pattern=r"^[a-z0-9]+([._:/-][a-z0-9]+)*$")]


class Outline(Frozen):
    """The top level of images.yaml; the sections' entries are looked at one by one, to find all problems."""

    registry: RegistryName
    pythons: tuple[PythonVersion, ...] = Field(min_length=1)
    requirements: tuple[Requirement, ...]
    left_out: dict[Name, tuple[Folder, ...]]
    bases: dict[Name, Any]
    devices: dict[Device, Any]
    default_backend: Name
    backends: dict[Name, Any]
    datasets: dict[Name, Any]
    models: dict[Name, Any]


class DeviceEntry(Frozen):
    """`devices.<device>`."""

    base: Name
    environment: dict[Variable, Setting] = Field(default_factory=dict)
    """Environment variables of its images."""


class NotOffered(Frozen):
    """A cell that is left out of the matrix, and why."""

    offered: Literal[False]
    reason: str = Field(min_length=1)


class OnDevice(Frozen):
    """`backends.<backend>.devices.<device>`: what the backend is made of there."""

    offered: bool = True
    reason: str = ""
    """Why it is not offered."""
    requirements: tuple[Requirement, ...] = ()
    distribution: Name = ""
    """The requirement that carries the backend itself."""
    base: Name | None = None
    """None: the device's."""
    index: Url | None = None
    """The maker's own, besides the public one."""
    pythons: Annotated[tuple[PythonVersion, ...], Field(min_length=1)] | None = None
    """None: its lock serves all of them."""

    @model_validator(mode="after")
    def _is_offered_or_says_why(self) -> Self:
        needed = {"requirements", "distribution"} if self.offered else {"reason"}
        if missing := sorted(key for key in needed if not getattr(self, key)):
            raise ValueError(f"missing key {', '.join(missing)}")
        if other := sorted(self.model_fields_set - {"offered", "reason"}) if not self.offered else self.reason:
            found = "reason" if self.offered else ", ".join(other)
            raise ValueError(f"{found} of a cell that is {'' if self.offered else 'not '}offered")
        return self


class BackendEntry(BackendSpec):
    """`backends.<backend>`."""

    environment: dict[Variable, Setting] = Field(default_factory=dict)
    """Environment variables of its images."""
    devices: dict[Device, OnDevice]


def _some(scores: tuple[ScoreTarget, ...]) -> tuple[ScoreTarget, ...]:
    """Refuse a model without a score; unlike a least length, only where each of them is valid by itself."""
    if not scores:
        raise ValueError("a model needs at least one score")
    return scores


class ModelEntry(Frozen):
    """`models.<name>`, with its data set by name."""

    title: str
    loadgen_key: str
    input_types: tuple[Name, ...] = ("fp32",)
    dataset: Name
    scenarios: tuple[Scenario, ...] = Field(min_length=1)
    accuracy: Annotated[tuple[ScoreTarget, ...], AfterValidator(_some)]
    compliance: ComplianceSpec | None = None
    options: dict[HarnessCommand, tuple[ModelOption, ...]] = Field(default_factory=dict)
    default_backend: Name | None = None
    precisions: dict[Name, tuple[Precision, ...]] = Field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    cells: dict[Name, dict[Device, NotOffered]] = Field(default_factory=dict)
    """Cells of this model that are not offered, by backend and device."""
    backend_requirements: dict[Name, tuple[Requirement, ...]] = Field(default_factory=dict)
    """Additional requirements on one backend."""
    apt: tuple[AptPackage, ...] = ()
    reference: ReferenceSpec | None = None
    files: tuple[ModelFile, ...] = ()


SECTIONS: dict[str, type[Frozen]] = {
    "bases": BaseImage,
    "devices": DeviceEntry,
    "backends": BackendEntry,
    "datasets": DatasetSpec,
    "models": ModelEntry,
}


@dataclass(frozen=True)
class Entries:
    """Content of images.yaml, each part valid by itself."""

    outline: Outline
    bases: Mapping[str, BaseImage]
    devices: Mapping[str, DeviceEntry]
    backends: Mapping[str, BackendEntry]
    datasets: Mapping[str, DatasetSpec]
    models: Mapping[str, ModelEntry]
