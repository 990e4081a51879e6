"""Build context as a tar, from BuildInputs and the host's settings. Equal inputs give equal bytes.

Each layer has a folder of its own below layers/: its requirements, and what the host adds, pip's settings and the
wheels that the layer needs. So a wheel that only one layer needs leaves the others as they are.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile, Layer
from mlperf_docker.recipe.host_settings import HostSettings

DOCKERFILE = "Dockerfile"


def write_context(inputs: BuildInputs, host: HostSettings, to: IO[bytes]) -> None:
    """Write the context to *to*: the Dockerfile, the inputs' files, and the host's settings for each layer."""
    settings = [file for layer in inputs.layers for file in _host_files(host, layer)]
    files = [ContextFile(DOCKERFILE, inputs.dockerfile.encode()), *inputs.context(), *settings]
    wheels = {f"{layer.folder}/wheels": host.wheels(layer.versions) for layer in inputs.layers}
    with tarfile.open(fileobj=to, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in sorted({*_parents(file.path for file in files), *wheels}):
            tar.addfile(_entry(folder, mode=0o755, kind=tarfile.DIRTYPE))
        for file in sorted(files, key=lambda each: each.path):
            tar.addfile(_entry(file.path, mode=file.mode, size=len(file.data)), io.BytesIO(file.data))
        for folder, found in sorted(wheels.items()):
            for wheel in sorted(found, key=lambda each: each.name):
                with wheel.open("rb") as data:
                    tar.addfile(_entry(f"{folder}/{wheel.name}", mode=0o644, size=wheel.stat().st_size), data)


def _host_files(host: HostSettings, layer: Layer) -> Iterator[ContextFile]:
    """Yield what pip is told in *layer*. A maker's own index is asked only for what no local folder has."""
    index = layer.index
    asked = [index.url] if index and host.lacks_local_versions(layer.versions, index.python) else []
    yield ContextFile(f"{layer.folder}/pip.conf", host.pip_conf(asked).encode())
    if host.ca_bundle is not None:
        yield ContextFile(f"{layer.folder}/ca.crt", host.ca_bundle)


def _parents(paths: Iterable[str]) -> set[str]:
    return {str(parent) for path in paths for parent in Path(path).parents} - {"."}


def _entry(path: str, *, mode: int, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.mode, entry.size, entry.type, entry.mtime = mode, size, kind, 0
    return entry
