"""BuildInputs and the host's settings → the tar that the engine takes as build context. Equal inputs, equal bytes."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from mlperf_docker.digests import BuildInputs, ContextFile
from mlperf_docker.engine.hostnet import HostSettings

DOCKERFILE = "Dockerfile"
HOST_FOLDER = "host"


def write_context(inputs: BuildInputs, host: HostSettings, to: IO[bytes]) -> None:
    """Write the context to *to*: the Dockerfile, the inputs' files, and the host's settings below host/."""
    files = [ContextFile(DOCKERFILE, inputs.dockerfile.encode()), *inputs.files, *_host_files(host)]
    with tarfile.open(fileobj=to, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in _folders(file.path for file in files):
            tar.addfile(_entry(folder, mode=0o755, kind=tarfile.DIRTYPE))
        for file in sorted(files, key=lambda each: each.path):
            tar.addfile(_entry(file.path, mode=file.mode, size=len(file.data)), io.BytesIO(file.data))
        for wheel in sorted(host.wheels(inputs), key=lambda each: each.name):
            with wheel.open("rb") as data:
                entry = _entry(f"{HOST_FOLDER}/wheels/{wheel.name}", mode=0o644, size=wheel.stat().st_size)
                tar.addfile(entry, data)


def _host_files(host: HostSettings) -> Iterable[ContextFile]:
    yield ContextFile(f"{HOST_FOLDER}/pip.conf", host.pip_conf().encode())
    if host.ca_bundle is not None:
        yield ContextFile(f"{HOST_FOLDER}/ca.crt", host.ca_bundle)


def _folders(paths: Iterable[str]) -> list[str]:
    found = {str(parent) for path in paths for parent in Path(path).parents} - {"."}
    return sorted(found | {f"{HOST_FOLDER}/wheels"})


def _entry(path: str, *, mode: int, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.mode, entry.size, entry.type, entry.mtime = mode, size, kind, 0
    return entry
