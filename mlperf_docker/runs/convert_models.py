"""`models convert`: conversion of a model file in a container of a backend that can read it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find
from mlperf_docker.contract import places
from mlperf_docker.contract.commands import ConvertCommand, ConvertReply
from mlperf_docker.contract.model_options import ModelOptions
from mlperf_docker.display.progress import Display
from mlperf_docker.engine import links
from mlperf_docker.engine.plan import BindMount
from mlperf_docker.errors import ModelFileError, UsageError
from mlperf_docker.images.sources import Sources
from mlperf_docker.inputs import checksums
from mlperf_docker.inputs.models.official_files import existing, identify
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.runs.job import HarnessJob, cache_mount, perform, runtime_for
from mlperf_docker.system import folders, paths

if TYPE_CHECKING:
    from mlperf_docker.catalog.spec import ImageSpec, ModelSpec

SAFETENSORS = ".safetensors"
_HEADER_BYTES = 9  # of safetensors: the length of its JSON, 8 bytes, and the JSON's first character


@dataclass(frozen=True)
class ConvertRequest:
    """Request of `models convert`."""

    model: "ModelSpec"
    source: Path
    output: Path
    sources: Sources
    backend: str | None = None
    """Whose container reads the file; None to let the file decide."""
    force: bool = False
    """Whether a file of that name is replaced."""
    model_options: ModelOptions = field(default_factory=ModelOptions)


@dataclass(frozen=True)
class ConversionStep:
    """Step in one container: it reads *source* on *backend*, and what it writes ends in *suffix*."""

    backend: str
    suffix: str


def convert(catalog: Catalog, request: ConvertRequest, display: Display) -> ConvertReply:
    """Convert, and return what the harness says of the new file, under its own path.

    The file is written aside and gets its name when it is complete. Raises UsageError, ModelFileError, and what goes
    wrong in a container.
    """
    source, output = existing(request.source), _output(catalog, request)
    steps = plan(catalog, request.model, source, output.suffix, request.backend, display)
    specs = [find(catalog, request.model.name, step.backend) for step in steps]
    runtime = runtime_for(specs[0], request.sources)
    with _aside(output, steps) as files:
        for step, spec, here in zip(steps, specs, files, strict=True):
            job = _job(spec, request, source, here)
            display.say(f"{request.source.name} → {step.suffix.removeprefix('.')}, on {step.backend}")
            reply = perform(runtime, job, display).reply
            source = here
        source.replace(output)
    return replace(reply, model_file=output)


def plan(
    catalog: Catalog, model: "ModelSpec", source: Path, suffix: str, wanted: str | None, display: Display
) -> list[ConversionStep]:
    """Return the containers that make *source* into a file of *suffix*; two, where none can both read and write it."""
    reader = wanted or _reader(catalog, model, source, display)
    writers = [each.name for each in catalog.backends if suffix in each.writes]
    if suffix == SAFETENSORS or reader in writers:
        return [ConversionStep(reader or model.default_backend, suffix)]
    first = (
        [ConversionStep(reader, SAFETENSORS)] if reader is not None else []
    )  # safetensors, which every backend reads
    return [*first, ConversionStep(writers[0], suffix)]


def _reader(catalog: Catalog, model: "ModelSpec", source: Path, display: Display) -> str | None:
    """Return the backend that can read *source*, or None where each of them can. Raises ModelFileError."""
    if _is_safetensors(source):
        return None
    readers = {suffix: each.name for each in reversed(catalog.backends) for suffix in each.suffixes}
    if source.suffix.lower() in readers:
        return readers[source.suffix.lower()]
    display.phase(f"identify {source.name}")
    found = checksums.remembered(source)
    if not found.keys() >= set(checksums.ALGORITHMS):
        report = lambda done, total: display.progress(done, total, "bytes")  # noqa: E731
        found = checksums.of(source, checksums.ALGORITHMS, report)
    by_checksum = identify([model], found)
    by_name = [file.backend for file in model.files if file.name == source.name]
    if by_checksum or by_name:
        return by_checksum[0].file.backend if by_checksum else by_name[0]
    known = ", ".join((*reversed(readers), SAFETENSORS))
    raise ModelFileError(
        f"{source} is none of the official files of {model.name}, and its name does not tell its format.",
        hint=f"Known are {known}. Or say whose container can read it, with --backend.",
    )


def _is_safetensors(path: Path) -> bool:
    """Tell by suffix, or by a header that is JSON and as long as the first 8 bytes say, little endian."""
    if path.suffix.lower() == SAFETENSORS:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
        return head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size
    except OSError as error:
        raise ModelFileError(f"The model file {path} cannot be read: {error.strerror}.") from error


def _output(catalog: Catalog, request: ConvertRequest) -> Path:
    """Return the absolute path of the new file. Raises UsageError unless it can be made there."""
    folder = paths.resolved(request.output.parent)
    output = folder / request.output.name
    known = (SAFETENSORS, *dict.fromkeys(suffix for each in catalog.backends for suffix in each.writes))
    if output.suffix not in known:
        raise UsageError(f"{output} is no {' or '.join(known)} file.", hint="Name one with --to FILE.")
    folders.require_writable(folder, "with --to FILE")
    if output.is_dir():
        raise UsageError(f"{output} is a folder.", hint="Name a file with --to FILE.")
    if output.exists() and not request.force:
        raise UsageError(f"{output} is there already.", hint="Replace it with --force, or name another with --to FILE.")
    return output


@contextlib.contextmanager
def _aside(output: Path, steps: list[ConversionStep]) -> Iterator[list[Path]]:
    """Yield a hidden name beside *output* for each step's file; what is left of them is removed."""
    files = [output.with_name(f".{output.stem}.{os.getpid()}-{index}{step.suffix}") for index, step in enumerate(steps)]
    try:
        yield files
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def _job(spec: "ImageSpec", request: ConvertRequest, source: Path, output: Path) -> HarnessJob[ConvertReply]:
    model = links.file(source, places.MODELS)
    inside = Path(places.RESULTS, output.name)
    command = ConvertCommand(model_file=Path(model.path), output=inside, model_options=request.model_options)
    mounts = (*model.mounts, BindMount(output.parent, places.RESULTS, read_only=False), cache_mount())
    return HarnessJob(recipe_of(spec), request.sources, command, mounts)
