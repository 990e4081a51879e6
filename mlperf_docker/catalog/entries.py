"""The entries of images.yaml as they are written, section by section."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from mlperf_docker.catalog.spec import (
    AccuracyTarget,
    BaseImage,
    DatasetSpec,
    Folder,
    Frozen,
    ModelFile,
    Name,
    PythonVersion,
    Setting,
    Url,
    Variable,
)
from mlperf_docker.contract.words import Device, Precision, Scenario
from mlperf_docker.names import Backend

_DEFAULT_BACKEND = Backend.ONNXRUNTIME
DEFAULT_PRECISIONS = (Precision.FP32,)

Requirement = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[a-z0-9,_-]+\])?((==|>=|<=|~=|<|>)[0-9][A-Za-z0-9.*+]*(,|$))+$")
]
AptPackage = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]+$")]
RegistryName = Annotated[str, Field(pattern=r"^[a-z0-9]+([._:/-][a-z0-9]+)*$")]


class Outline(Frozen):
    """The top level of images.yaml; the sections' entries are looked at one by one, to find all problems."""

    registry: RegistryName
    pythons: tuple[PythonVersion, ...] = Field(min_length=1)
    requirements: tuple[Requirement, ...]
    left_out: dict[Name, tuple[Folder, ...]]
    bases: dict[Name, Any]
    devices: dict[Device, Any]
    backends: dict[Backend, Any]
    datasets: dict[Name, Any]
    models: dict[Name, Any]


class DeviceEntry(Frozen):
    """`devices.<device>`. environment: variables of its images."""

    base: Name
    environment: dict[Variable, Setting] = Field(default_factory=dict)


class BackendEntry(Frozen):
    """`backends.<backend>`. base: where it is not the device's; index: the maker's own, besides the public one.

    pythons: where its lock serves not all of them; environment: variables of its images.
    """

    requirements: dict[Device, tuple[Requirement, ...]]
    base: dict[Device, Name] = Field(default_factory=dict)
    index: dict[Device, Url] = Field(default_factory=dict)
    pythons: dict[Device, Annotated[tuple[PythonVersion, ...], Field(min_length=1)]] = Field(default_factory=dict)
    environment: dict[Variable, Setting] = Field(default_factory=dict)


class ModelEntry(Frozen):
    """`models.<name>`, with its data set by name. backend_requirements: what it needs on one backend besides."""

    title: str
    loadgen_key: str
    dataset: Name
    scenarios: tuple[Scenario, ...] = Field(min_length=1)
    accuracy: AccuracyTarget
    default_backend: Backend = _DEFAULT_BACKEND
    precisions: dict[Backend, tuple[Precision, ...]] = Field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    backend_requirements: dict[Backend, tuple[Requirement, ...]] = Field(default_factory=dict)
    apt: tuple[AptPackage, ...] = ()
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
    """Everything in images.yaml, each part valid by itself."""

    outline: Outline
    bases: Mapping[str, BaseImage]
    devices: Mapping[str, DeviceEntry]
    backends: Mapping[str, BackendEntry]
    datasets: Mapping[str, DatasetSpec]
    models: Mapping[str, ModelEntry]
