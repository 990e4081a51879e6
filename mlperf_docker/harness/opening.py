"""From a model file to the model that a backend can load."""

from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.harness import formats
from mlperf_docker.harness.backends.base import FP32, Backend, LoadRequest, Predictor
from mlperf_docker.harness.models.base import Benchmark, Model
from mlperf_docker.harness.names import Device
from mlperf_docker.harness.network import Network


def open_model(benchmark: Benchmark, backend: Backend, path: Path) -> Model:
    """The model in *path*: as it is, if *backend* runs such files, else through its weights and the architecture.

    Raises ModelFileError.
    """
    found = formats.detect(path)
    if found in backend.formats:
        return benchmark.native(path, found)
    return benchmark.network(benchmark.read(path, found), str(path))


@dataclass(frozen=True, slots=True)
class Loading:
    """How the parts of a model are loaded. threads: for the operators of each; number: of the device."""

    device: Device
    threads: int
    precision: str = FP32
    number: int = 0


def load_parts(backend: Backend, model: Model, loading: Loading) -> tuple[Predictor, ...]:
    """A predictor for each part of *model*, the main one first. Raises ModelFileError."""
    requests = (
        LoadRequest(
            part.source,
            part.interface,
            loading.device,
            loading.threads,
            model.format,
            loading.precision,
            number=loading.number,
        )
        for part in model.parts
    )
    return tuple(backend.load(request) for request in requests)


class CpuAnswerer:
    """Runs networks on the CPU with *backend*, for the ground truth of synthetic sets."""

    def __init__(self, backend: Backend, threads: int) -> None:
        self._backend = backend
        self._threads = threads

    def predictor(self, network: Network, *outputs: str) -> Predictor:
        """A predictor that fetches the outputs called *outputs*."""
        interface = network.interface.fetching(*outputs)
        return self._backend.load(LoadRequest(network, interface, Device.CPU, self._threads, provable=False))
