"""Values of a download: the file that is wanted, the file as it was fetched, and the errors."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import MlperfDockerError
from mlperf_docker.inputs.checksums import Checksum


@dataclass(frozen=True)
class Wanted:
    """A file to fetch."""

    name: str
    target: Path
    urls: tuple[str, ...]
    """Its addresses, in the order of trying."""
    checksum: Checksum | None
    """None if nobody published one."""
    private: bool = False
    """Whether the addresses are the user's own, so that what may be a secret in them is not printed."""
    exit_code: ExitCode = ExitCode.MODEL_FILE
    """Of a failure."""
    folder_option: str = "--to DIR"
    """How the command that fetches it takes another folder."""

    @property
    def partial(self) -> Path:
        """Where the bytes gather."""
        return self.target.with_name(f"{self.target.name}.partial")

    @property
    def kept_bytes(self) -> int:
        """How many of them are there."""
        with contextlib.suppress(OSError):
            return self.partial.stat().st_size
        return 0


@dataclass(frozen=True)
class Fetched:
    """A file in its place."""

    path: Path
    size_bytes: int
    url: str | None
    """Where it came from; None if it was here already."""
    resumed_bytes: int = 0
    """How much of it was here before."""


class DownloadError(MlperfDockerError):
    """A file could not be brought to its place; the exit code says what it is needed for."""

    def __init__(self, message: str, *, hint: str, exit_code: ExitCode) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class FetchError(DownloadError):
    """No address gave the file; what each of them did is in the message."""
