"""Devices, and what host and harness know of each: its profile. Nothing else asks which device one is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


@dataclass(frozen=True)
class EngineRuntime:
    """An engine's extension that hands a device to containers. The hook alone is seen only on the engine's host."""

    name: str
    """Its name among the engine's runtimes."""
    cdi: str
    """Beginning of the device's names in the Container Device Interface."""
    hook: str
    """A program that is in PATH where the engine has it."""
    package: str
    """What the user has to install."""


@dataclass(frozen=True)
class Driver:
    """Shared libraries of a driver. Their functions have the signatures of CUDA's and NVML's."""

    library: str
    initialise: str
    count: str
    management: str | None = None
    """NVML's library, which knows how much memory is free; None where the driver has none like it."""


@dataclass(frozen=True)
class DeviceProfile:
    """Properties of a device, which code asks for in place of its name."""

    title: str
    """The kind of device, for people."""
    memory: str
    """Its memory, in the middle of a sentence."""
    is_accelerator: bool = False
    """Whether it has memory of its own, and is filled by large batches."""
    gpus: str = ""
    """What a container asks for by default, in the words of docker's `--gpus`."""
    nodes: tuple[str, ...] = ()
    """Device files that a container is given."""
    signs: tuple[str, ...] = ()
    """Device files one of which is there where the device is, on the host and in its containers; none: always."""
    runtime: EngineRuntime | None = None
    """None: every engine can hand it to a container."""
    driver: Driver | None = None
    """None: there is one of this device, and its memory is the host's."""
    requirement: str = ""
    """What a host without it has to install."""
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Backend → the name by which that framework knows the device, where it is not the device's own."""

    @property
    def docker_options(self) -> str:
        """The options of `docker run` that give it to a container."""
        return " ".join([*([f"--gpus {self.gpus}"] if self.gpus else []), *(f"--device {node}" for node in self.nodes)])


class Device(StrEnum):
    """Device that the model runs on."""

    CPU = "cpu"
    CUDA = "cuda"

    @property
    def profile(self) -> DeviceProfile:
        """What there is to know of it."""
        return PROFILES[self]

    def name_for(self, backend: str) -> str:
        """The name by which the framework of *backend* knows it."""
        return self.profile.names.get(backend, self.value)


PROFILES: Mapping[Device, DeviceProfile] = MappingProxyType(
    {
        Device.CPU: DeviceProfile(
            title="CPU",
            memory="memory",
            names=MappingProxyType({"onnxruntime": "CPUExecutionProvider", "tensorflow": "CPU"}),
        ),
        Device.CUDA: DeviceProfile(
            title="NVIDIA GPU",
            memory="the GPU's memory",
            is_accelerator=True,
            gpus="all",
            signs=("/dev/nvidiactl", "/dev/dxg"),
            runtime=EngineRuntime(
                name="nvidia",
                cdi="nvidia.com/gpu",
                hook="nvidia-container-runtime-hook",
                package="the NVIDIA Container Toolkit",
            ),
            driver=Driver("libcuda.so.1", "cuInit", "cuDeviceGetCount", management="libnvidia-ml.so.1"),
            requirement="the NVIDIA driver",
            names=MappingProxyType({"onnxruntime": "CUDAExecutionProvider", "tensorflow": "GPU"}),
        ),
    }
)
