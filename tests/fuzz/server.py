"""A process that has imported the tool, and forks for each command: a command takes as long as its own work does.

The command is the real one: its arguments go to the entry of the host's tool or of the harness, its exit code and its
output are what a user would see. Each has bounds on time and memory.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
ADDRESS_SPACE = 4 << 30
"""Bytes that a command may map beside what is imported: so much is a failure long before."""
LARGEST_FILE = 1 << 30
POLL_S = 0.005

HOST, HARNESS, DIGEST, MAKE = "host", "harness", "digest", "make"


@dataclass(frozen=True)
class Command:
    """kind: whose arguments these are; assets: where the host's tool finds images.yaml; seconds: to end in."""

    kind: str
    arguments: tuple[str, ...]
    folder: str
    assets: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 60.0


@dataclass(frozen=True)
class Outcome:
    """Outcome of a command. code: negative for a signal, None if it did not end."""

    code: int | None
    stdout: str
    stderr: str
    seconds: float
    processor_s: float
    peak_bytes: int


class Server:
    """The process, from `with` on."""

    def __enter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
        environment["TF_ENABLE_ONEDNN_OPTS"] = "0"  # it would be told of at each start
        line = [sys.executable, "-m", "tests.fuzz.server"]
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()

    def run(self, command: Command) -> Outcome:
        """Run one command to its end."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the server was not started")
        self._process.stdin.write(json.dumps(asdict(command)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the server died of {command}")
        return Outcome(**json.loads(answer))


def _import_all() -> None:
    import mlperf_loadgen  # noqa: F401
    import nibabel  # noqa: F401
    import onnxruntime  # noqa: F401
    import pycocotools.coco  # noqa: F401
    import scipy.ndimage  # noqa: F401
    import soundfile  # noqa: F401
    import tensorflow as tf  # noqa: F401  # under this name type checkers leave it alone
    import torch  # noqa: F401

    import mlperf_docker.harness.commands.run  # noqa: F401
    from mlperf_docker.harness.backends import registry as backends
    from mlperf_docker.harness.models import registry as models

    for name in ("resnet50", "retinanet", "bert", "3d-unet", "rnnt", "dlrm"):
        models.load(name)
    for name in ("onnxruntime", "pytorch", "tensorflow"):
        backends.load(name)


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _import_all()
    for line in sys.stdin:
        answers.write(json.dumps(_forked(Command(**json.loads(line)))) + "\n")
        answers.flush()


def _forked(command: Command) -> dict[str, Any]:
    paths = [Path(command.folder) / name for name in ("stdout", "stderr")]
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(command, paths)
    usage, status = _waited(child, start + command.seconds)
    seconds = time.monotonic() - start
    texts = [path.read_bytes()[:4_000_000].decode(errors="replace") for path in paths]
    code = None if seconds >= command.seconds else os.waitstatus_to_exitcode(status)
    processor_s = usage.ru_utime + usage.ru_stime
    return asdict(Outcome(code, texts[0], texts[1], seconds, processor_s, usage.ru_maxrss << 10))


def _waited(child: int, end: float) -> tuple[resource.struct_rusage, int]:
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            _kill(child)  # what it left behind
            return usage, status
        if time.monotonic() > end:
            _kill(child)
            _, status, usage = os.wait4(child, 0)
            return usage, status
        time.sleep(POLL_S)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _become(command: Command, paths: Sequence[Path]) -> None:
    """Be the command; never returns."""
    code = 70
    try:
        os.setpgid(0, 0)
        os.chdir(command.folder)
        os.environ.update(command.environment)
        for descriptor, path in enumerate(paths, start=1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + ADDRESS_SPACE,) * 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = _ENTRIES[command.kind](command)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 (as the interpreter would print it)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _host(command: Command) -> int:
    from mlperf_docker.cli import entry
    from mlperf_docker.system import paths

    if command.assets:
        paths.PACKAGE = Path(command.assets) / "mlperf_docker"
    sys.argv = ["mlperf-docker", *command.arguments]
    entry.main()
    return 0


def _harness(command: Command) -> int:
    from mlperf_docker.harness.__main__ import main

    return main(command.arguments)


def _digest(command: Command) -> int:
    """Print a checksum of all samples of a data set, as a run would get them: model, folder, cache."""
    import argparse

    from mlperf_docker.contract.exit_codes import ExitCode
    from mlperf_docker.harness import __main__ as harness
    from tests.fuzz.digests import of_samples

    model, data, cache = command.arguments

    def digest(_: argparse.Namespace, events: Any) -> Any:
        events.result({"digest": of_samples(model, Path(data), Path(cache))})
        return ExitCode.VALID

    return int(harness.guarded(digest, argparse.Namespace(cache=Path(cache))))


def _make(command: Command) -> int:
    """Make a good input: the name of a function of `goods`, and the folder that it fills."""
    from tests.fuzz import goods

    name, folder = command.arguments
    getattr(goods, name)(Path(folder))
    return 0


_ENTRIES = {HOST: _host, HARNESS: _harness, DIGEST: _digest, MAKE: _make}


if __name__ == "__main__":
    _serve()
