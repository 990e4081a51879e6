"""Runtimes that this host has beside a Docker engine, as checks of `doctor`."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mlperf_docker.contract.devices import Device
from mlperf_docker.engine.plan import Limits
from mlperf_docker.errors import MlperfDockerError
from mlperf_docker.maintenance.doctor import Check, Severity
from mlperf_docker.names import RuntimeName
from mlperf_docker.runtimes.choice import runtime_of
from mlperf_docker.runtimes.rendering import KINDS

_ENGINE = "engine"
_PROGRAMS = {RuntimeName.PODMAN: "podman", **{name: kind.program for name, kind in KINDS.items()}}


def with_runtimes(checks: Sequence[Check]) -> list[Check]:
    """Return *checks* and those of the runtimes. Where one can be used, an engine that cannot is no failure."""
    found = list(runtime_checks())
    usable = any(each.level is Severity.OK for each in found)
    return [
        *(replace(each, level=Severity.WARN) if usable and _is_failed_engine(each) else each for each in checks),
        *found,
    ]


def runtime_checks() -> Iterator[Check]:
    """Yield a check for each runtime whose program is installed."""
    for name, program in _PROGRAMS.items():
        if shutil.which(program) is None:
            continue
        runtime = runtime_of(name)
        try:
            runtime.require(Device.CPU, Limits())
            lacks = " ".join(runtime.unconfined)
            yield Check(name.value, Severity.OK, f"{runtime.version()}, --runtime {name}. {lacks}".strip())
        except MlperfDockerError as error:
            if name in KINDS and KINDS[name].proof is not None:  # the program is of use without it, too
                continue
            yield Check(name.value, Severity.WARN, str(error), error.hint)


def _is_failed_engine(check: Check) -> bool:
    return check.name == _ENGINE and check.level is Severity.FAIL
