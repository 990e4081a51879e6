"""The measurements that `make bench` takes: each gives one figure, our side and the bare side measured in turn."""

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine.client import DockerEngine, connect
from mlperf_docker.engine.local_images import find
from mlperf_docker.system.paths import harness_cache_dir
from tests.fixtures.docker_client import api

if TYPE_CHECKING:
    from mlperf_docker.engine.filesystem import FileSystem

ROOT = Path(__file__).resolve().parent.parent
COMMAND = Path(sys.executable).with_name("mlperf-docker")
HERE = Path(__file__).resolve().parent
_TIMEOUT_S = 900


@dataclass(frozen=True)
class Figure:
    """A measured figure: the median over the rounds is what counts. at_least: the bound is a floor, not a ceiling."""

    name: str
    values: tuple[float, ...]
    bound: float
    unit: str = ""
    at_least: bool = False
    note: str = ""

    @property
    def median(self) -> float:
        """The middle value of the rounds."""
        return statistics.median(self.values)

    @property
    def reached(self) -> bool:
        """Whether the median keeps to the bound."""
        return self.median >= self.bound if self.at_least else self.median <= self.bound


def tool(*arguments: str, cwd: Path = ROOT, command: Path = COMMAND) -> str:
    """Run the command-line tool and return its stdout."""
    argv = [str(command), *arguments]
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{argv} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


SHORT = ("--synthetic", "full", "--scenario", "SingleStream", "--min-duration", "1")
"""A run that makes the image and the real-size synthetic data, where they are not there."""
DIFFERING = {"bert": 40, "rnnt": 32, "dlrm": 1024, "3d-unet": 2}
"""Models whose samples differ in what they cost, and how many are measured with: both sides answer each as often."""
SAME_BATCHES = frozenset({"bert", "rnnt", "3d-unet"})
"""Models whose bare loop has the batches that the harness found best: of like samples, or of parts of one."""
QUERY_S = 10
SPARE = 1.5


def run(*options: str, model: str = "resnet50", backend: str = "onnxruntime") -> dict[str, Any]:
    """Run a cell and return its result."""
    result = json.loads(tool("run", model, "--backend", backend, "--bootstrap-base", "--json", *options))
    assert isinstance(result, dict)
    return result


@dataclass(frozen=True)
class Bench:
    """The engine, the image that everything else is measured with, and the cells whose throughput is."""

    client: DockerEngine
    image: str
    rounds: int
    cells: tuple[ImageSpec, ...]

    @classmethod
    def prepare(cls, rounds: int, cells: tuple[ImageSpec, ...]) -> "Bench":
        """Build the image, and make the full-size synthetic data once."""
        image = tool("build", "resnet50", "--bootstrap-base").strip()
        run(*SHORT)
        run("--synthetic", "tiny", "--min-duration", "1")
        return cls(connect(), image, rounds, cells)

    def inside(self, measure: str, *arguments: str, image: str = "") -> dict[str, float]:
        """Run a bare loop in a container of the same image, confined as a run is."""
        argv = ["docker", "run", "--rm", "--network=none", "--label=org.mlperf-docker=container", "--read-only"]
        argv += ["--tmpfs=/tmp", f"--user={os.getuid()}:{os.getgid()}", "--entrypoint=/opt/venv/bin/python"]
        argv += [f"--volume={harness_cache_dir()}:/cache", f"--volume={HERE}:/benchmarks:ro", "--workdir=/"]
        argv += [image or self.image, "-m", "benchmarks.inside", measure, *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        if done.returncode:
            raise RuntimeError(f"the bare loop {measure} failed:\n{done.stderr}")
        values = json.loads(done.stdout.splitlines()[-1])
        assert isinstance(values, dict)
        return values

    def paired(self, ours: Callable[[], float], bare: Callable[[], float]) -> tuple[float, ...]:
        """Measure bare, ours, bare, ours, …, bare and return each of ours ÷ the mean of its two neighbours.

        So a machine that slowly gets faster or slower, as shared ones do, does not look like a difference.
        """
        before, ratios = bare(), []
        for _ in range(self.rounds):
            measured, after = ours(), bare()
            ratios.append(2 * measured / (before + after))
            before = after
        return tuple(ratios)


def offline(bench: Bench) -> Iterator[Figure]:
    """Throughput of each real-size network, under LoadGen in the container and in a bare loop."""
    for spec in bench.cells:
        yield _offline(bench, spec.model.name, spec.backend)


def _offline(bench: Bench, model: str, backend: str) -> Figure:
    image = str(run(*SHORT, model=model, backend=backend)["image"]["tag"])
    options, query = _query(model, backend)
    if model in SAME_BATCHES:
        found = run(*options, model=model, backend=backend)["settings"]
        batch = str(found.get("parts_per_batch", found["batch_size"]))
        options = (*options, "--batch-size", batch)
    else:
        batch = str(bench.inside("best_batch", model, backend, image=image)["batch"])
    ratios = bench.paired(
        lambda: float(run(*options, model=model, backend=backend)["metric"]["value"]),
        lambda: bench.inside("loop", model, backend, batch, *query, image=image)["samples_per_second"],
    )
    name = "the same batches" if model in SAME_BATCHES else "its best batch"
    title = f"{model} on {backend}: Offline samples/s ÷ bare loop at {name}"
    return Figure(title, ratios, 0.98, at_least=True, note=f"bare batch {batch}")


def _query(model: str, backend: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Options of the runs, and what a bare loop has to be told of their query, if its samples differ."""
    options: tuple[str, ...] = ("--synthetic", "full", "--scenario", "Offline")
    if model not in DIFFERING:
        return (*options, "--min-duration", "15"), ()
    count = DIFFERING[model]
    options = (*options, "--samples", str(count), "--min-duration")
    times = rounds(count, float(run(*options, "1", model=model, backend=backend)["metric"]["value"]))
    return (*options, str(QUERY_S), "--target-qps", qps_for(count * times)), (str(count), str(times))


def rounds(count: int, rate: float) -> int:
    """How often each of *count* samples must be in a query that lasts half as long again as it must, at *rate*.

    A query that ends early would be INVALID, and a shared machine may be that much faster a moment later.
    """
    return max(1, math.ceil(SPARE * QUERY_S * rate / count))


def qps_for(samples: int) -> str:
    """The rate for which LoadGen makes an Offline query of just *samples*: it takes 1.1 times what QUERY_S needs.

    It leaves out the fraction, so half a sample more makes up for rounding.
    """
    return f"{(samples + 0.5) / (1.1 * QUERY_S):.6g}"


def single_stream(bench: Bench) -> Iterator[Figure]:
    """Latency of the real-size network, under LoadGen and bare."""
    options = ("--synthetic", "full", "--scenario", "SingleStream", "--min-duration", "15")
    run(*SHORT)
    ratios = bench.paired(
        lambda: float(run(*options)["latency_ns"]["mean"]) / 1e9,
        lambda: bench.inside("loop", "resnet50", "onnxruntime", "1")["mean_s"],
    )
    yield Figure("SingleStream mean latency ÷ bare session.run", ratios, 1.02)


def overhead(bench: Bench) -> Iterator[Figure]:
    """What LoadGen and the harness cost around a predictor that does nothing."""
    found = [bench.inside("overhead") for _ in range(bench.rounds)]
    yield Figure(
        "Offline cost, null SUT, batch 32", tuple(each["offline_ns"] / 1e3 for each in found), 1.0, "µs/sample"
    )
    single = tuple(each["single_stream_ns"] / 1e3 for each in found)
    yield Figure("SingleStream cost, null SUT", single, 5.0, "µs/query")


def preprocess(bench: Bench) -> Iterator[Figure]:
    """Images per second of the harness on two processes against a plain loop; the bytes must be the same."""
    found = [bench.inside("preprocess") for _ in range(bench.rounds)]
    assert all(each["same_bytes"] for each in found), "the harness and the plain loop disagree"
    ratios = tuple(each["plain_s"] / each["ours_s"] for each in found)
    yield Figure("preprocessing, 2 processes ÷ plain loop on one", ratios, 1.8, at_least=True, note="same bytes")


def start(bench: Bench) -> Iterator[Figure]:
    """From the command to LoadGen's start, with the image and the data there."""

    def once() -> float:
        before = time.time()
        folder = Path(run("--synthetic", "tiny", "--min-duration", "1")["results_dir"])
        events = (json.loads(line) for line in (folder / "harness.log").read_text().splitlines() if line[:1] == "{")
        return next(float(each["time"]) for each in events if each.get("name") == "loadgen") - before

    yield Figure("command start → LoadGen start, tiny", tuple(once() for _ in range(bench.rounds)), 3.0, "s")


def commands(bench: Bench) -> Iterator[Figure]:
    """The commands that people type most."""
    for argument, bound in (("--help", 0.15), ("list", 0.4)):
        tool(argument)
        yield Figure(
            f"mlperf-docker {argument}", tuple(_seconds(argument) for _ in range(3 * bench.rounds)), bound, "s"
        )


def rebuild(bench: Bench) -> Iterator[Figure]:
    """Building again: with nothing changed, and after an edit in the harness."""
    again = tuple(_seconds("build", "resnet50") for _ in range(bench.rounds))
    yield Figure("build again, nothing changed", again, 1.0, "s")
    with _clone() as (command, folder, registry):
        options = ("build", "resnet50", "--bootstrap-base", "--registry", registry)
        tool(*options, cwd=folder, command=command)
        edited = []
        try:
            for number in range(bench.rounds):
                with (folder / "mlperf_docker/harness/__init__.py").open("a") as source:
                    source.write(f"\n# edit {number} of {registry}\n")
                edited.append(_seconds(*options, cwd=folder, command=command))
        finally:
            _remove_tags(bench.client, registry)
    yield Figure("build after an edit in the harness", tuple(edited), 5.0, "s")


def size(bench: Bench) -> Iterator[Figure]:
    """The reference is what one would write by hand: the base, an interpreter, and pip without its cache."""
    ours = find(bench.client, bench.image)
    assert ours is not None
    tag = f"mlperf-bench-{uuid.uuid4().hex[:8]}/plain:size"
    try:
        plain = _plain_image(bench, tag, ours.labels["org.mlperf-docker.base"])
        yield Figure("image size ÷ base + pip install of the same set", (ours.size_bytes / plain,), 1.05)
    finally:
        _remove_tags(bench.client, tag.partition("/")[0])


def _plain_image(bench: Bench, tag: str, base: str) -> int:
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find as find_cell
    from mlperf_docker.images.building.builder import BuildRequest
    from mlperf_docker.images.building.buildkit import BuildKitBuilder
    from mlperf_docker.recipe.build_inputs import BuildInputs, Layer
    from mlperf_docker.recipe.host_settings import HostSettings
    from mlperf_docker.recipe.render import layers

    spec = find_cell(Catalog.load(ROOT / "images.yaml"), "resnet50")
    everything = Layer("all", tuple(pin for layer in layers(spec) for pin in layer.pins))
    dockerfile = """ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
RUN --mount=type=bind,source=layers/all,target=/run/layer \
    python3 -m venv /opt/venv && PIP_CONFIG_FILE=/run/layer/pip.conf /opt/venv/bin/pip install --no-cache-dir \
    --require-hashes --requirement /run/layer/requirements.txt
"""
    inputs = BuildInputs(dockerfile, (), (everything,))
    request = BuildRequest(inputs, base, (tag,), {"org.mlperf-docker": "image"}, HostSettings.from_environ())
    BuildKitBuilder(bench.client).build(request, on_event=lambda _: None)
    found = find(bench.client, tag)
    assert found is not None
    return found.size_bytes


def twice(bench: Bench) -> Iterator[Figure]:
    """Each image built twice from cold: no layer and no download of an earlier build. Prints what differs."""
    for spec in bench.cells:
        differing = _built_twice(bench, spec)
        for path, what in differing.items():
            print(f"{spec}: /{path}: {what}")
        yield Figure(f"{spec}: paths that differ between two builds from cold", (float(len(differing)),), 0)


def _built_twice(bench: Bench, spec: ImageSpec) -> dict[str, str]:
    from mlperf_docker.engine import filesystem
    from mlperf_docker.maintenance import build_cache

    registry = f"mlperf-bench-{uuid.uuid4().hex[:8]}"
    before = {each.id for each in build_cache.records(bench.client.disk_usage())}
    try:
        one, other = (_built_cold(bench, spec, f"{registry}/{number}:cold") for number in range(2))
        return filesystem.changes(one, other)
    finally:
        _remove_tags(bench.client, registry)
        cache = build_cache.removable(build_cache.records(bench.client.disk_usage()))
        build_cache.remove(bench.client, [each for each in cache if each.id not in before])


def _built_cold(bench: Bench, spec: ImageSpec, tag: str) -> "FileSystem":
    from mlperf_docker.engine import filesystem
    from mlperf_docker.images.bases import resolve_base
    from mlperf_docker.images.building.builder import BuildRequest
    from mlperf_docker.images.building.buildkit import BuildKitBuilder
    from mlperf_docker.recipe.host_settings import HostSettings
    from mlperf_docker.recipe.render import recipe_of

    base = resolve_base(bench.client, spec.base, bootstrap=True, say=lambda _: None)
    inputs = recipe_of(spec).inputs
    cold = inputs.dockerfile.replace("id=mlperf-docker-pip", f"id={tag.partition('/')[0]}-{uuid.uuid4().hex[:8]}")
    assert cold != inputs.dockerfile
    request = BuildRequest(
        inputs=replace(inputs, dockerfile=cold),
        base_reference=base.reference,
        tags=(tag,),
        labels={"org.mlperf-docker": "image"},
        host=HostSettings.from_environ(),
        no_cache=True,
        base_identity=base.identity,
    )
    BuildKitBuilder(bench.client).build(request, on_event=lambda _: None)
    return filesystem.read(bench.client, tag)


def _seconds(*arguments: str, cwd: Path = ROOT, command: Path = COMMAND) -> float:
    before = time.perf_counter()
    tool(*arguments, cwd=cwd, command=command)
    return time.perf_counter() - before


@contextmanager
def _clone() -> Iterator[tuple[Path, Path, str]]:
    """A copy of the sources with a command of its own, to edit in."""
    folder = Path(tempfile.mkdtemp(prefix="mlperf-bench-"))
    try:
        copy = folder / "copy"
        leave = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache")
        shutil.copytree(ROOT, copy, ignore=leave)
        command = folder / "mlperf-docker"
        command.write_text(f'#!/bin/sh\nPYTHONPATH={copy} exec {sys.executable} -m mlperf_docker.cli.entry "$@"\n')
        command.chmod(0o755)
        yield command, copy, folder.name
    finally:
        shutil.rmtree(folder)


def _remove_tags(client: DockerEngine, registry: str) -> None:
    for image in api(client).images():
        for tag in image["RepoTags"] or ():
            if tag.startswith(f"{registry}/"):
                api(client).remove_image(tag, force=True)


MEASURES = (commands, start, rebuild, size, twice, overhead, preprocess, offline, single_stream)
