"""Run of upstream's checkers on a tree: in a container without network, or as a process of this host.

They need Python and PyYAML. An image of ours has the first; the second is this tool's own, mounted beside the checkout.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mlperf_docker.display.progress import Display
from mlperf_docker.engine.engine import Engine
from mlperf_docker.engine.local_images import newest_of_ours
from mlperf_docker.engine.plan import BindMount, ContainerUser, RunPlan
from mlperf_docker.errors import ContainerError, UsageError
from mlperf_docker.rounds.round import Round
from mlperf_docker.runtimes.docker import DockerRuntime
from mlperf_docker.submission.checks.findings import TreeFinding
from mlperf_docker.submission.official import messages
from mlperf_docker.submission.official.checkout import Checkout, OfficialChecker
from mlperf_docker.system import paths

TIME_LIMIT_S = 600
_MOST_LINES = 500_000
_TIMED_OUT = (124, 137)
_ABSENT = (126, 127)
_TREE, _CHECKOUT, _LIBRARIES = "/tree", "/checkout", "/libraries"
_CSV = "/tmp/summary.csv"  # noqa: S108  # the container's own


@dataclass(frozen=True)
class CheckerOutput:
    """End of a checker: its exit code, and what it printed. root: the tree's place, as it knew it."""

    code: int
    lines: Sequence[str]
    root: str


@dataclass(frozen=True)
class OfficialVerdict:
    """Verdict of one of upstream's checkers. accepts: None where it was not run."""

    checker: str
    accepts: bool | None
    findings: tuple[TreeFinding, ...] = ()
    note: str = ""
    """Why it was not run, or did not end."""

    def fields(self) -> dict[str, Any]:
        """The verdict as JSON has it."""
        findings = [finding.fields() for finding in self.findings]
        return {"checker": self.checker, "accepts": self.accepts, "note": self.note, "findings": findings}


_ON_HOST = "Or run the checker as a process of this host: --no-container"
Runner = Callable[[OfficialChecker], CheckerOutput]


def verdicts(checkout: Checkout, round_: Round, run: Runner) -> list[OfficialVerdict]:
    """Return what each checker of *checkout* says of a tree of *round_*. Raises UsageError where none can be asked."""
    found = [_verdict(checkout, checker, round_, run) for checker in checkout.checkers]
    if all(each.accepts is None and not each.findings for each in found):
        reasons = "; ".join(f"{each.checker}: {each.note}" for each in found)
        raise UsageError(
            f"No checker in {checkout.folder} takes a tree of round {round_.name}: {reasons}.",
            hint="Check out the tag of that round, or another --round.",
        )
    return found


def _verdict(checkout: Checkout, checker: OfficialChecker, round_: Round, run: Runner) -> OfficialVerdict:
    if not checkout.knows(checker, round_):
        return OfficialVerdict(checker.name, None, note=f"it does not know round {round_.name}")
    if not checker.reads(round_):
        return OfficialVerdict(checker.name, None, note=f"it does not read the layout of round {round_.name}")
    output = run(checker)
    note = f"it did not end within {TIME_LIMIT_S} s" if output.code in _TIMED_OUT else ""
    accepted = output.code == 0
    return OfficialVerdict(checker.name, accepted, messages.read(output.lines, output.root, accepted=accepted), note)


def arguments(script: str, tree: str, round_: Round, csv: str) -> tuple[str, ...]:
    """Return what Python is told."""
    return ("-B", script, "--input", tree, "--version", round_.name, "--csv", csv)


def on_host(checkout: Checkout, tree: Path, round_: Round) -> Runner:
    """Return a runner of processes on this host, with a time limit and little of this environment."""
    root = paths.resolved(tree)

    def run(checker: OfficialChecker) -> CheckerOutput:
        argv = arguments(str(checkout.folder / checker.script), str(root), round_, os.devnull)
        with tempfile.TemporaryDirectory() as folder:
            environment = {"PATH": os.defpath, "PYTHONPATH": str(_yaml().parent), "TMPDIR": folder}
            try:
                done = subprocess.run(
                    [sys.executable, *argv],
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    timeout=TIME_LIMIT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                return CheckerOutput(_TIMED_OUT[0], _lines(error.stdout or b""), str(root))
        return CheckerOutput(done.returncode, _lines(done.stdout), str(root))

    return run


def _lines(output: bytes) -> list[str]:
    return output.decode(errors="replace").splitlines()[:_MOST_LINES]


def in_container(checkout: Checkout, tree: Path, round_: Round, display: Display) -> Runner:
    """Return a runner of containers without network, in which tree and checkout cannot be written."""
    runtime = DockerRuntime()
    runtime.tidy(display.say)
    image, user = _image(runtime.client), runtime.user()

    def run(checker: OfficialChecker) -> CheckerOutput:
        display.phase(f"{checker.name} in {image}")
        lines: list[str] = []

        def keep(line: str) -> None:
            if len(lines) < _MOST_LINES:
                lines.append(line)

        plan = _plan(user, image, checkout, tree, checker.script, round_)
        ended = runtime.run(plan, on_stdout=keep, on_stderr=keep)
        if ended.code in _ABSENT:
            raise ContainerError(f"The image {image} has no Python that runs: {' '.join(lines)}", hint=_ON_HOST)
        return CheckerOutput(ended.code, lines, _TREE)

    return run


def _image(client: Engine) -> str:
    """Return an image of ours that is there; any has Python. Raises UsageError where none is."""
    image = newest_of_ours(client)
    if image is None:
        raise UsageError(
            "Upstream's checker needs an image with Python, and there is none of ours yet.",
            hint=f"Build one: mlperf-docker build resnet50. {_ON_HOST}",
        )
    return image


def _plan(
    user: ContainerUser, image: str, checkout: Checkout, tree: Path, script: PurePosixPath, round_: Round
) -> RunPlan:
    """Return the container. Its own `timeout` ends it, also where this tool is gone."""
    told = arguments(f"{_CHECKOUT}/{script}", _TREE, round_, _CSV)
    return RunPlan(
        image=image,
        entrypoint="timeout",
        arguments=("--kill-after=5", str(TIME_LIMIT_S), "python", *told),
        mounts=(
            BindMount(paths.resolved(tree), _TREE, read_only=True),
            BindMount(paths.resolved(checkout.folder), _CHECKOUT, read_only=True),
            BindMount(_yaml(), f"{_LIBRARIES}/yaml", read_only=True),
        ),
        surroundings=user,
        environment=(("PYTHONPATH", _LIBRARIES),),
    )


def _yaml() -> Path:
    """The folder of PyYAML, whose part in Python is enough."""
    return Path(str(yaml.__file__)).resolve().parent
