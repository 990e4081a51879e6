"""Errors of the host: one class per kind, each with a documented exit code. `cli.app` is the one place that catches."""

from collections.abc import Iterator
from pathlib import Path

from mlperf_docker.contract.exit_codes import ExitCode


class MlperfDockerError(Exception):
    """Error of the host: a message (what failed, where), a hint (the next command), and the path of a log.

    Printed in this order, so that a log's path is the last thing on the screen.
    """

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(self, message: str, *, hint: str | None = None, log: Path | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.log = log

    def lines(self) -> Iterator[str]:
        """What the user reads."""
        yield f"Error: {self}"
        if self.hint:
            yield f"Hint:  {self.hint}"
        if self.log:
            yield f"Log:   {self.log}"


class UsageError(MlperfDockerError):
    """The command line or the catalog asks for something that does not exist."""

    exit_code = ExitCode.USAGE


class FolderError(MlperfDockerError):
    """The user's file system refuses: it is full, read-only or closed to us, or there is no such folder."""

    exit_code = ExitCode.USAGE


class EngineError(MlperfDockerError):
    """The Docker engine is not running, too old, or refuses to work."""

    exit_code = ExitCode.ENGINE


class BaseImageError(MlperfDockerError):
    """No base image could be had."""

    exit_code = ExitCode.BASE_IMAGE


class BuildError(MlperfDockerError):
    """A build step failed; the log has all of its output."""

    exit_code = ExitCode.BUILD


class DatasetError(MlperfDockerError):
    """The data set is missing, damaged or laid out differently."""

    exit_code = ExitCode.DATASET


class ModelFileError(MlperfDockerError):
    """The model file is missing, damaged or another model's."""

    exit_code = ExitCode.MODEL_FILE


class DeviceError(MlperfDockerError):
    """The device asked for is not there, or the backend would run elsewhere."""

    exit_code = ExitCode.DEVICE


class ContainerError(MlperfDockerError):
    """The container died: killed, out of memory, or a crash of the harness."""

    exit_code = ExitCode.CONTAINER


class RegistryError(MlperfDockerError):
    """The registry cannot be reached, or refuses."""

    exit_code = ExitCode.REGISTRY


class BundleError(MlperfDockerError):
    """A bundle is damaged, incomplete or of another format, or there is no room to write one."""

    exit_code = ExitCode.REGISTRY  # it stands in for one


class ClusterError(MlperfDockerError):
    """A cluster's queue or API cannot be reached, or refuses."""

    exit_code = ExitCode.ENGINE  # it runs the containers


class Interrupted(MlperfDockerError):  # noqa: N818  # it is what the user wanted
    """The user pressed Ctrl-C, or the tool was told to stop."""

    exit_code = ExitCode.INTERRUPTED
