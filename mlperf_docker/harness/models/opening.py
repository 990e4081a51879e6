"""Opening of a model file: format, weights, network; the model that a backend can load."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mlperf_docker.contract.devices import Device
from mlperf_docker.harness.api.backend import FP32, Backend, LoadRequest, Predictor
from mlperf_docker.harness.api.benchmark import Benchmark
from mlperf_docker.harness.api.errors import LONGEST_REASON, HarnessError, ModelFileError, damaged
from mlperf_docker.harness.api.interface import THROUGH
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import D, F, S
from mlperf_docker.harness.weights import formats


def open_model(benchmark: Benchmark[D, F, S], backend: Backend, path: Path) -> Model[F, S]:
    """The model in *path*: as it is, if *backend* runs such files, else through its weights and the architecture.

    All that can be told without running it is looked at. Raises ModelFileError.
    """
    with blaming(path):
        found = formats.detect(path)
        if found not in backend.formats:
            return benchmark.network(benchmark.read(path, found), str(path))
        model = benchmark.native(path, found)
        if not isinstance(model.source, Path) or model.format is None:
            return model
        return replace(model, interface=backend.examine(model.source, model.format, model.interface))


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a model file is taken apart into ModelFileError: libraries trust such files."""
    try:
        yield
    except HarnessError:
        raise
    except MemoryError as error:
        raise ModelFileError(f"{path} needs more memory than there is") from error
    except Exception as error:
        raise damaged(path, "model file that can be read", f"{type(error).__name__}: {error}") from error


@contextmanager
def trying(model: Model[F, S]) -> Iterator[None]:
    """Turn what goes wrong while samples are tried into ModelFileError, where a file is run as it is."""
    try:
        yield
    except (HarnessError, MemoryError):
        raise
    except Exception as error:
        if model.format is None:
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:LONGEST_REASON]
        raise ModelFileError(
            f"{model.source} cannot be run on samples of this benchmark: {reason}",
            hint=f"It is another model, or its batch is fixed inside. {THROUGH}",
        ) from error


@dataclass(frozen=True, slots=True)
class Loading:
    """Options for loading the parts of a model."""

    device: Device
    threads: int
    """Threads for the operators of each part."""
    precision: str = FP32
    number: int = 0
    """Index of the device."""


def load_parts(backend: Backend, model: Model[F, S], loading: Loading) -> tuple[Predictor, ...]:
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
    with trying(model):
        return tuple(backend.load(request) for request in requests)


class CpuAnswerer:
    """Runs networks on the CPU with *backend*, for the ground truth of synthetic sets."""

    def __init__(self, backend: Backend, threads: int) -> None:
        self._backend = backend
        self._threads = threads

    def predictor(self, network: Network, *outputs: str, threads: int | None = None) -> Predictor:
        """A predictor that fetches the outputs called *outputs*. threads: of its own; None for all."""
        interface = network.interface.fetching(*outputs)
        return self._backend.load(LoadRequest(network, interface, Device.CPU, threads or self._threads, provable=False))
