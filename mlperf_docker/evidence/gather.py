"""Recording of evidence: builds and runs cells, records image, performance, accuracy and parity with other backends."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract import places
from mlperf_docker.contract.commands import OutputsCommand, OutputsReply, ParityCommand
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Mode, Precision, Scenario, SyntheticSize
from mlperf_docker.display.progress import Display
from mlperf_docker.engine.plan import BindMount, Limits
from mlperf_docker.errors import (
    BuildError,
    ContainerError,
    DatasetError,
    DeviceError,
    MlperfDockerError,
    ModelFileError,
    UsageError,
)
from mlperf_docker.evidence import records
from mlperf_docker.evidence.records import (
    AccuracyFinding,
    BuildFinding,
    Data,
    Entry,
    ParityFinding,
    Peer,
    PerformanceFinding,
    Record,
)
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.results import store, values
from mlperf_docker.runs.job import HarnessJob, cache_mount, perform
from mlperf_docker.runs.request import RunRequest
from mlperf_docker.runs.session import run as run_request
from mlperf_docker.runtimes.docker import DockerRuntime
from mlperf_docker.system import paths

_Found = TypeVar("_Found")
_PAIR = 2
# These say something of the cell; anything else (no engine, no base, Ctrl-C) says something of the host.
_OF_THE_CELL = (BuildError, ContainerError, DatasetError, DeviceError, ModelFileError)


@dataclass(frozen=True)
class GatherRequest:
    """Request of `evidence`."""

    specs: tuple[ImageSpec, ...]
    """Cells to put on record."""
    peers: tuple[ImageSpec, ...]
    """Cells that their outputs are compared with."""
    size: SyntheticSize
    min_duration_s: float
    sources: Sources
    record: Path
    """Path of the record."""
    samples: int | None = None
    """Number of synthetic samples; None for all."""
    results_root: Path | None = None
    """Results folder, as of a run."""


@dataclass
class Gathered:
    """Outcome: the record's path, its entries as they are now, and every failure with its step."""

    record: Path
    entries: dict[tuple[Any, ...], Entry] = field(default_factory=dict)
    failures: list[tuple[str, MlperfDockerError]] = field(default_factory=list)

    def raise_failure(self) -> None:
        """Raise one error that names every step that failed; its exit code is the first one's."""
        if not self.failures:
            return
        _, first = self.failures[0]
        if len(self.failures) == 1:
            raise first
        lines = (f"{step}: {error}" for step, error in self.failures)
        message = "\n".join((f"{len(self.failures)} steps failed; the rest is on record.", *lines))
        raise type(first)(message, hint=first.hint, log=first.log)

    @property
    def all_passed(self) -> bool:
        """Whether everything that ran did what it should."""
        return all(each.passed for entry in self.entries.values() for each in entry.findings().values())


def gather(request: GatherRequest, display: Display) -> Gathered:
    """Run what *request* says, write each finding to the record as it comes, and return them all.

    A step that fails takes its old finding off the record, and does not keep the others from running. Raises what
    says nothing of a cell: EngineError, BaseImageError, Interrupted.
    """
    done = _Gathering(request, DockerRuntime(), display)
    for spec in request.specs:
        if done.build(spec) and done.can_run(spec):
            for precision in spec.precisions:
                done.measure(spec, precision)
    for device in dict.fromkeys(spec.device for spec in request.specs):
        for model in dict.fromkeys(spec.model.name for spec in request.specs if spec.device is device):
            done.compare([spec for spec in request.peers if (spec.model.name, spec.device) == (model, device)])
    return done.gathered


def from_results(files: Sequence[Path], specs: Sequence[ImageSpec], record: Path) -> Gathered:
    """Put results on record that a machine without an engine gave: result.json files of the harness of this source.

    Raises UsageError for a file that is no result, or of no cell.
    """
    gathered = Gathered(record)
    recipes = {str(spec): recipe_of(spec) for spec in specs}
    for path in files:
        result = store.read_file(path)
        recipe = recipes.get(result.cell)
        if recipe is None:
            raise UsageError(f"{path} is a result of {result.cell}, which is no cell of images.yaml.")
        _put(gathered, recipe.spec, result.precision, _of_result(recipe, result))
    return gathered


class _Gathering:
    """Pass over the cells, with its findings so far."""

    def __init__(self, request: GatherRequest, runtime: DockerRuntime, display: Display) -> None:
        self._request, self._runtime, self._display = request, runtime, display
        self._recipes = {str(spec): recipe_of(spec) for spec in (*request.specs, *request.peers)}
        self.gathered = Gathered(request.record)

    def build(self, spec: ImageSpec) -> bool:
        """Provide the image, and put it on record for each precision. Returns whether it is there."""
        built = self._try(spec, "built", lambda: self._built(spec))
        for precision in spec.precisions:
            _put(self.gathered, spec, precision, {"built": built})
        return built is not None

    def can_run(self, spec: ImageSpec) -> bool:
        """Tell whether this host has the device; where it has not, that says nothing of the cell."""
        try:
            self._runtime.require(spec.device, Limits())
        except DeviceError as error:
            self._display.say(f"{spec}: built, and not run. {error}")
            return False
        return True

    def measure(self, spec: ImageSpec, precision: Precision) -> None:
        """Run for speed and for accuracy. A run that fails takes its old finding off the record: it was disproved."""
        for mode in Mode:
            finding = self._try(spec, mode.value, partial(self._run, spec, precision, mode))
            _put(self.gathered, spec, precision, {mode.value: finding})

    def compare(self, peers: Sequence[ImageSpec]) -> None:
        """Write each backend's raw outputs for the same samples, and put on record how near each is to the others."""
        if len(peers) < _PAIR or not self.can_run(peers[0]):
            return
        precision = Precision.FP32
        with tempfile.TemporaryDirectory(prefix="parity-", dir=paths.cache_dir()) as folder:
            mount = BindMount(Path(folder), places.RESULTS, read_only=False)
            traced = {}
            for spec in peers:
                reply = self._try(spec, "outputs", partial(self._perform, self._outputs(spec, mount)))
                if reply is not None:
                    traced[spec.variant] = reply
            near = self._compared(peers, traced, mount)
            for spec in peers:
                if spec in self._request.specs:
                    _put(self.gathered, spec, precision, {"parity": self._parity(spec, traced, near)})

    def _perform(self, job: HarnessJob[_Found]) -> _Found:
        return perform(self._runtime, job, self._display).reply

    def _built(self, spec: ImageSpec) -> BuildFinding:
        recipe = self._recipes[str(spec)]
        image = self._runtime.provide(recipe, self._request.sources, self._display).used
        fields = {"image": image.tag.rpartition("/")[2], "size_bytes": self._runtime.size_bytes(image.tag)}
        return BuildFinding.model_validate({**_stamp(recipe), **fields, "base": image.base})

    def _outputs(self, spec: ImageSpec, results_mount: BindMount) -> HarnessJob[OutputsReply]:
        output, request = Path(places.RESULTS, f"{spec.variant}.safetensors"), self._request
        command = OutputsCommand(synthetic=request.size, output=output, samples=request.samples)
        mounts = (cache_mount(), results_mount)
        return HarnessJob(self._recipes[str(spec)], self._request.sources, command, mounts)

    def _compared(
        self, peers: Sequence[ImageSpec], traced: Mapping[str, OutputsReply], mount: BindMount
    ) -> dict[str, list[Peer]]:
        """Return, for each variant that was traced, how near each of the others is."""
        near: dict[str, list[Peer]] = {variant: [] for variant in traced}
        if len(traced) < _PAIR:
            return near
        anyone = next(spec for spec in peers if spec.variant in traced)
        command = ParityCommand(files=tuple(reply.output for reply in traced.values()))
        job = HarnessJob(self._recipes[str(anyone)], self._request.sources, command, (mount,))
        reply = self._try(anyone, "parity", partial(self._perform, job))
        for pair in reply.pairs if reply else ():
            a, b = pair.a.stem, pair.b.stem
            for one, other in ((a, b), (b, a)):
                near[one].append(Peer(cell=other, largest_difference=pair.largest_difference, agreement=pair.agreement))
        return near

    def _parity(
        self, spec: ImageSpec, traced: Mapping[str, OutputsReply], near: Mapping[str, Sequence[Peer]]
    ) -> ParityFinding | None:
        if not near.get(spec.variant):
            return None
        outputs = traced[spec.variant]
        ran = {"data": self._request.size, "samples": outputs.samples, "versions": outputs.versions}
        gpu = _gpu(spec, outputs.device_proof)
        return ParityFinding.model_validate(
            {**_stamp(self._recipes[str(spec)]), **ran, "gpu": gpu, "against": tuple(near[spec.variant])}
        )

    def _run(self, spec: ImageSpec, precision: Precision, mode: Mode) -> PerformanceFinding | AccuracyFinding:
        request = RunRequest(
            spec=spec,
            options=RunOptions(
                scenario=Scenario.OFFLINE,
                mode=mode,
                precision=precision,
                synthetic=self._request.size,
                samples=self._request.samples,
                min_duration_s=self._request.min_duration_s if mode is Mode.PERFORMANCE else None,
            ),
            limits=Limits(),
            sources=self._request.sources,
            results_root=self._request.results_root,
        )
        (finding,) = _of_result(self._recipes[str(spec)], run_request(request, self._display)).values()
        return finding

    def _try(self, spec: ImageSpec, name: str, find_out: Callable[[], _Found]) -> _Found | None:
        """Return what *find_out* finds, or None with the failure noted."""
        self._display.say(f"— {spec}: {name}")
        try:
            return find_out()
        except _OF_THE_CELL as error:
            self.gathered.failures.append((f"{spec}, {name}", error))
            self._display.say(f"{spec}, {name}: {error}")
            return None


def _of_result(recipe: Recipe, result: values.RunResult) -> dict[str, PerformanceFinding | AccuracyFinding]:
    """Return the finding that *result* is, by its name."""
    data: Data = "real" if not result.synthetic else "full" if result.synthetic_size == "full" else "tiny"
    ran = {
        **_stamp(recipe),
        "data": data,
        "samples": result.samples,
        "versions": result.versions,
        "gpu": _gpu(recipe.spec, result.device_proof),
        "in_container": result.image is not None,
    }
    if result.accuracy is not None:
        return {"accuracy": AccuracyFinding.model_validate({**ran, "scores": result.accuracy.scores})}
    if result.metric is None:
        raise UsageError(f"The result of {recipe} has neither a metric nor an accuracy.")
    metric = result.metric
    figures = {"metric": metric.name, "value": metric.value, "unit": metric.unit, "valid": result.valid}
    return {"performance": PerformanceFinding.model_validate({**ran, **figures, "scenario": result.scenario})}


def _gpu(spec: ImageSpec, proof: dict[str, Any]) -> str | None:
    """Return the GPU's name, out of a proof that the network ran on one."""
    return str(proof.get("gpu", "of unknown name")) if spec.device.profile.is_accelerator else None


def _stamp(recipe: Recipe) -> dict[str, Any]:
    return {"source": recipe.source, "date": records.now()}


def _put(
    gathered: Gathered, spec: ImageSpec, precision: Precision, findings: Mapping[str, records.AnyFinding | None]
) -> None:
    """Change the findings of one cell on record, and keep the entry as it is then. None takes a finding off."""
    blank = Entry(model=spec.model.name, backend=spec.backend, device=spec.device, precision=precision)

    def change(record: Record) -> Record:
        entry = next((each for each in record.of(spec) if each.precision is precision), blank)
        entry = entry.model_copy(update=dict(findings))
        gathered.entries[entry.key] = entry
        return record.updated([entry])

    records.write(change, gathered.record)
