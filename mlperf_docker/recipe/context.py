"""BuildInputs and the host's settings → the tar that the engine takes as build context. Equal inputs, equal bytes.

Each layer with requirements has a folder of its own below host/, with pip's settings and the wheels that it needs: so a
wheel that only one layer needs leaves the others as they are.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile, versions
from mlperf_docker.recipe.host_settings import HostSettings

DOCKERFILE = "Dockerfile"
HOST_FOLDER = "host"


def write_context(inputs: BuildInputs, host: HostSettings, to: IO[bytes]) -> None:
    """Write the context to *to*: the Dockerfile, the inputs' files, and the host's settings below host/<layer>/."""
    settings = [file for layer in inputs.layers for file in _host_files(inputs, host, layer)]
    files = [ContextFile(DOCKERFILE, inputs.dockerfile.encode()), *inputs.files, *settings]
    wheels = {_wheels(layer): host.wheels(versions(inputs, layer)) for layer in inputs.layers}
    with tarfile.open(fileobj=to, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in sorted({*_parents(file.path for file in files), *wheels}):
            tar.addfile(_entry(folder, mode=0o755, kind=tarfile.DIRTYPE))
        for file in sorted(files, key=lambda each: each.path):
            tar.addfile(_entry(file.path, mode=file.mode, size=len(file.data)), io.BytesIO(file.data))
        for folder, found in sorted(wheels.items()):
            for wheel in sorted(found, key=lambda each: each.name):
                with wheel.open("rb") as data:
                    tar.addfile(_entry(f"{folder}/{wheel.name}", mode=0o644, size=wheel.stat().st_size), data)


def _host_files(inputs: BuildInputs, host: HostSettings, layer: str) -> Iterator[ContextFile]:
    """Yield what pip is told in *layer*. A maker's own index is asked only for what no local folder has."""
    pins = versions(inputs, layer)
    indexes = [
        each.url for each in inputs.indexes if each.layer == layer and host.lacks_local_versions(pins, each.python)
    ]
    yield ContextFile(f"{HOST_FOLDER}/{layer}/pip.conf", host.pip_conf(indexes).encode())
    if host.ca_bundle is not None:
        yield ContextFile(f"{HOST_FOLDER}/{layer}/ca.crt", host.ca_bundle)


def _wheels(layer: str) -> str:
    return f"{HOST_FOLDER}/{layer}/wheels"


def _parents(paths: Iterable[str]) -> set[str]:
    return {str(parent) for path in paths for parent in Path(path).parents} - {"."}


def _entry(path: str, *, mode: int, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.mode, entry.size, entry.type, entry.mtime = mode, size, kind, 0
    return entry
