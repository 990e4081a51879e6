"""One `run` from the user's request to its result: check, plan, provide the image, execute."""

import os
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker import datasets, model_files, paths, results
from mlperf_docker.engine.build import BuildKitBuilder
from mlperf_docker.engine.client import Engine, connect, require_gpu_runtime
from mlperf_docker.engine.container import remove_orphans
from mlperf_docker.errors import UsageError
from mlperf_docker.names import Device
from mlperf_docker.plan import BindMount, Limits, RunOptions, RunPlan, run_command
from mlperf_docker.progress import Display
from mlperf_docker.provide import Sources, likely_images, provide
from mlperf_docker.runner import execute
from mlperf_docker.selector import UnknownNameError, require_implemented
from mlperf_docker.spec import ImageSpec


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for, with names already resolved. results_root: None is the user's own results folder."""

    spec: ImageSpec
    options: RunOptions
    limits: Limits
    sources: Sources
    dataset: Path | None = None
    model_file: Path | None = None
    results_root: Path | None = None

    @property
    def root(self) -> Path:
        """The absolute folder below which this run's own folder is made."""
        return (self.results_root or paths.results_dir()).expanduser().resolve()

    @property
    def title(self) -> str:
        """What the run's folder is named after."""
        return f"{self.spec.model.name}-{self.spec.variant}-{self.options.scenario}-{self.options.mode}"


def run(request: RunRequest, display: Display) -> results.RunResult:
    """Run *request* and return its result. Everything that can be wrong is looked at before anything is built."""
    client = _device_checked(request)
    inputs = _inputs(request)
    with results.claim(request.root, request.title) as folder:
        for name in remove_orphans(client):
            display.say(f"Removed container {name}: the tool that started it was killed.")
        image = provide(client, BuildKitBuilder(client), request.spec, request.sources, display)
        plan = _plan(request, image.tag, inputs, folder)
        return execute(client, plan, folder, image=image, display=display)


def dry_run(request: RunRequest) -> str:
    """Return the docker command that `run` would be equal to, writing to the results folder itself."""
    _check_options(request)
    require_implemented(request.spec)
    inputs = _inputs(request)
    results.check_writable(request.root)
    ((tag, _),) = likely_images([request.spec], request.sources)
    return run_command(_plan(request, tag, inputs, request.root))


def _device_checked(request: RunRequest) -> Engine:
    """Connect, and refuse a device that is not there before saying anything about images."""
    _check_options(request)
    if request.spec.device is not Device.CUDA:
        require_implemented(request.spec)
        return connect()
    client = connect()
    require_gpu_runtime(client)
    require_implemented(request.spec)
    return client


def _check_options(request: RunRequest) -> None:
    spec, options = request.spec, request.options
    if options.precision not in spec.precisions:
        raise UnknownNameError(f"precision of {spec}", options.precision, spec.precisions)
    if options.scenario not in spec.model.scenarios:
        raise UnknownNameError(f"scenario of {spec.model.name}", options.scenario, spec.model.scenarios)
    request.limits.check()
    if (request.dataset is None) == (options.synthetic is None):
        raise UsageError(
            "Give either --dataset DIR or --synthetic SIZE.",
            hint=f"Without a data set: mlperf-docker run {spec.model.name} --synthetic tiny",
        )
    if options.synthetic is not None and request.model_file is not None:
        raise UsageError("--model-file and --synthetic exclude each other: synthetic runs make their own weights.")


@dataclass(frozen=True)
class _Inputs:
    """What the container reads and caches, each folder checked to exist, and the arguments that name files in them."""

    mounts: tuple[BindMount, ...]
    arguments: tuple[str, ...]


def _inputs(request: RunRequest) -> _Inputs:
    cache = BindMount(paths.harness_cache_dir(), "/cache", read_only=False)
    if request.dataset is None:
        return _Inputs((cache,), ())
    data = datasets.check_folder(request.spec.model.dataset, request.dataset)
    model = model_files.locate(request.spec, request.options.precision, request.model_file)
    mounts = (BindMount(data, "/data", read_only=True), BindMount(model.parent, "/models", read_only=True), cache)
    return _Inputs(mounts, (f"--model-file=/models/{model.name}",))


def _plan(request: RunRequest, image: str, inputs: _Inputs, folder: Path) -> RunPlan:
    return RunPlan(
        image=image,
        arguments=(*request.options.arguments(), *inputs.arguments),
        mounts=(*inputs.mounts, BindMount(folder, "/results", read_only=False)),
        user=f"{os.getuid()}:{os.getgid()}",
        limits=request.limits,
    )
