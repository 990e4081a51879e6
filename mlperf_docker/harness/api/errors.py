"""Errors of the harness: one class per kind, one exit code each. `__main__` is the one place that catches."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlperf_docker.contract.exit_codes import ExitCode

DAMAGED = "It is truncated or of another format. Compare its checksum with: mlperf-docker models verify"
LONGEST_REASON = 200
"""Characters of what a library says of a file that a message shows."""


class HarnessError(Exception):
    """Error of the harness: a message (what failed, where), a hint (the next step), and details. Has no traceback."""

    exit_code = ExitCode.CONTAINER

    def __init__(self, message: str, *, hint: str | None = None, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.hint = hint
        self.details = tuple(details)


class UsageError(HarnessError):
    """The command line, user.conf or a mounted folder asks for something that cannot be done."""

    exit_code = ExitCode.USAGE


class DatasetError(HarnessError):
    """The data set is missing, damaged or laid out differently."""

    exit_code = ExitCode.DATASET


class ModelFileError(HarnessError):
    """The model file is missing, damaged or another model's."""

    exit_code = ExitCode.MODEL_FILE


def damaged(path: Path, kind: str, error: object, *, hint: str | None = None) -> ModelFileError:
    """A model file that its name or content says is a *kind*, and that cannot be read as one."""
    try:
        size = f" ({path.stat().st_size} bytes)"
    except OSError:
        size = ""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ModelFileError(f"{path}{size} is no {kind}: {lines[0][:LONGEST_REASON]}", hint=hint or DAMAGED)


@contextmanager
def needing(package: str, path: Path, backend: str) -> Iterator[None]:
    """Turn an ImportError into ModelFileError: *path* takes a *package* that only images of *backend* have."""
    try:
        yield
    except ImportError as error:
        raise ModelFileError(
            f"{path} can be read only where {package} is installed, and here it is not",
            hint=f"Use the image of the backend that reads such files: --backend {backend}",
        ) from error


class DeviceError(HarnessError):
    """The device asked for is not there, or the backend would run elsewhere."""

    exit_code = ExitCode.DEVICE


class DeviceMemoryError(DeviceError):
    """A batch does not fit into the device's memory; a smaller one may."""


class SampleError(HarnessError):
    """The backend failed on a sample, or LoadGen refused to run."""

    exit_code = ExitCode.CONTAINER


class BadSample(Exception):  # noqa: N818 (a finding about data, collected and reported together)
    """A file that cannot become a sample; the message says why."""


class NotFiniteError(SampleError):
    """A network gave a value that is NaN or infinite. A LoadGen test goes on, and its run is INVALID.

    what: the output; row: which sample of the batch, the first is 0.
    """

    def __init__(self, what: str, *, row: int = 0) -> None:
        super().__init__(f"{what} is not finite")
        self.what, self.row = what, row


def first_ten(names: Sequence[str]) -> tuple[str, ...]:
    """The first ten of *names*, with a last line that says how many more there are."""
    rest = len(names) - 10
    return (*names[:10], f"… and {rest} more") if rest > 0 else tuple(names)
