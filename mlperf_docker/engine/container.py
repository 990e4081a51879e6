"""Run of one container through the engine, from its creation to its exit code."""

import contextlib
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mlperf_docker.contract import places
from mlperf_docker.contract.devices import Device
from mlperf_docker.engine.engine import (
    Engine,
    EngineGoneError,
    EngineLostError,
    EngineRefusedError,
    Message,
    NotOnEngineError,
    Output,
)
from mlperf_docker.engine.output import Lines, in_thread
from mlperf_docker.engine.plan import CONTAINER_LABEL, Limits, RunPlan
from mlperf_docker.errors import ContainerError, DeviceError, MlperfDockerError, UsageError
from mlperf_docker.names import LABEL
from mlperf_docker.system import owner, signals

OWNER_LABEL = f"{LABEL}.owner"
# Read by harness/lifeline.py: the container shall end when its stdin does.
_ENVIRONMENT = (f"{places.LIFELINE_VARIABLE}=1",)
_STOP_TIMEOUT_S = 10
_NANO = 1_000_000_000
_GONE = ("destroy", "remove")  # in Docker's words, and in Podman's


@dataclass(frozen=True)
class ContainerExit:
    """End of a container."""

    code: int
    out_of_memory: bool
    signal: int | None
    """The one sent through the engine from outside, or None."""


def run_container(
    client: Engine, plan: RunPlan, *, on_stdout: Callable[[str], None], on_stderr: Callable[[str], None]
) -> ContainerExit:
    """Run *plan* to its end and hand over its output line by line.

    The container is gone afterwards, on every path. On Ctrl-C it is asked to stop, has 10 s for that, and its last
    lines are still handed over before KeyboardInterrupt goes on. Raises ContainerError where it cannot be started.

    Its stdin is held open by this process alone. Where this is killed, the engine closes it, which ends the harness.
    """
    # Named beforehand, so that it can be removed even if Ctrl-C comes before the engine has answered with its id.
    container = f"mlperf-docker-{uuid.uuid4().hex[:12]}"
    try:
        events, output = _begin(client, plan, container)
        try:
            _follow(client, container, output, Lines(on_stdout, on_stderr))
            return ending_of(events)
        except EngineGoneError as error:
            raise _engine_gone() from error
    finally:
        remove(client, container)


def _begin(client: Engine, plan: RunPlan, container: str) -> tuple[Iterator[Message], Iterator[Output]]:
    """Start the container and return its events and its output.

    All is opened before the start, so that neither a line nor the end can be missed; and what can be, before there is a
    container, as a kill between its creation and its start leaves it behind.
    """
    events = client.events(container)
    with signals.deferred():  # the engine goes on with a request that was broken off
        _create(client, plan, container)
        output = in_thread(_attach(client, container))
        _start(client, container)
    return events, output


def _follow(client: Engine, container: str, output: Iterator[Output], lines: Lines) -> None:
    """Hand over the container's lines; on Ctrl-C, stop it and hand over its last ones before that goes on."""
    try:
        lines.consume(output)
    except KeyboardInterrupt:
        with contextlib.suppress(EngineRefusedError):  # it ends at this moment
            client.stop(container, _STOP_TIMEOUT_S)
        lines.consume(output)
        raise


def remove_orphans(client: Engine) -> list[str]:
    """Remove containers of ours whose tool was killed, and return their names. A living tool's are left alone."""
    found = client.containers(label=CONTAINER_LABEL)
    orphans = [each for each in found if owner.is_gone(each["Labels"].get(OWNER_LABEL, ""))]
    for orphan in orphans:
        remove(client, orphan["Id"])
    return [orphan["Names"][0].lstrip("/") for orphan in orphans]


def _create(client: Engine, plan: RunPlan, name: str) -> None:
    try:
        client.create_container(name, configuration(plan))
    except EngineRefusedError as error:
        raise _refused(plan, error) from error


def configuration(plan: RunPlan) -> dict[str, Any]:
    """Return *plan* as the body of `POST /containers/create`. The container's stdin closes with its first reader's end.

    No proxies of docker's configuration are in it: there is no network, and anybody may read what a container is told.
    """
    key, _, value = CONTAINER_LABEL.partition("=")
    return {
        "Image": plan.image,
        "Cmd": list(plan.arguments),
        **({"Entrypoint": [plan.entrypoint]} if plan.entrypoint else {}),
        "User": plan.surroundings.user,
        "Env": [*_ENVIRONMENT, *(f"{name}={value}" for name, value in plan.environment)],
        "Labels": {key: value, OWNER_LABEL: owner.current(), **dict(plan.labels)},
        **dict.fromkeys(("OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr"), True),
        "HostConfig": _host_configuration(plan),
    }


def _host_configuration(plan: RunPlan) -> dict[str, Any]:
    limits, host_side = plan.limits, plan.surroundings
    return {
        "AutoRemove": True,
        "Init": True,
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": plan.tmpfs},  # noqa: S108  # the container's own, in memory
        "GroupAdd": [str(group) for group in host_side.groups],
        "UsernsMode": host_side.userns or "",
        "PidsLimit": host_side.processes,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Mounts": [
            {"Type": "bind", "Source": str(each.host), "Target": each.container, "ReadOnly": each.read_only}
            for each in plan.mounts
        ],
        "NanoCpus": int(limits.cpus * _NANO) if limits.cpus else 0,
        "CpusetCpus": limits.cpuset or "",
        "Memory": limits.memory_bytes or 0,
        "DeviceRequests": _device_requests(limits),
        "Devices": [{"PathOnHost": each, "PathInContainer": each, "CgroupPermissions": "rwm"} for each in plan.devices],
    }


def _device_requests(limits: Limits) -> list[dict[str, Any]]:
    """Return what docker's own command makes of `--gpus`."""
    gpus = limits.gpu_request
    if gpus is None:
        return []
    return [
        {
            "Driver": gpus.driver or "",
            "Count": gpus.count,
            "DeviceIDs": list(gpus.devices),
            "Capabilities": [[*gpus.capabilities, "gpu"]],
            "Options": dict(gpus.options),
        }
    ]


def _attach(client: Engine, container: str) -> Iterator[Output]:
    """Open the container's streams. Podman already prepares the start here, and may refuse it."""
    try:
        return client.attach(container)
    except EngineRefusedError as error:
        raise _not_started(error) from error


def _start(client: Engine, container: str) -> None:
    try:
        client.start(container)
    except EngineRefusedError as error:
        raise _not_started(error) from error


def _not_started(error: EngineRefusedError) -> ContainerError | DeviceError:
    reason = error.reason
    runtimes = [device.profile.runtime.name for device in Device if device.profile.runtime is not None]
    if any(word in reason.lower() for word in ("device driver", *runtimes)):
        return DeviceError(f"The engine cannot give the container a GPU: {reason}", hint="See: mlperf-docker doctor")
    return ContainerError(f"The engine cannot start the container: {reason}")


def _refused(plan: RunPlan, error: EngineRefusedError) -> MlperfDockerError:
    if re.search(r"CPUs|memory limit", error.reason, re.IGNORECASE):  # more than there are, say
        return UsageError(f"The engine refuses the limits: {error.reason}")
    return ContainerError(f"The engine refuses the container for {plan.image}: {error.reason}")


def ending_of(events: Iterator[Message]) -> ContainerExit:
    """Read the container's events up to its removal."""
    code: int | None = None
    out_of_memory = False
    signal: int | None = None
    for event in events:
        action, attributes = event.get("Action"), _attributes(event)
        out_of_memory |= action == "oom"
        if action == "kill" and "signal" in attributes:  # Podman does not tell which one
            signal = int(attributes["signal"])
        elif action == "die":
            code = int(attributes["exitCode"])
        elif action in _GONE:
            break
    if code is None:
        raise _engine_gone()
    return ContainerExit(code, out_of_memory, signal)


def _engine_gone() -> ContainerError:
    return ContainerError("The engine went away while the container ran.", hint="See: mlperf-docker doctor")


def _attributes(event: Message) -> dict[str, str]:
    actor = event.get("Actor")
    attributes = actor.get("Attributes") if isinstance(actor, dict) else None
    return attributes if isinstance(attributes, dict) else {}


def remove(client: Engine, container: str) -> None:
    """Remove the container if it is still there; the engine may be doing the same at this moment (--rm).

    One that an engine which went away leaves behind is an orphan of the next run.
    """
    with signals.deferred(), contextlib.suppress(NotOnEngineError, EngineLostError):
        try:
            client.remove_container(container, force=True)
        except NotOnEngineError:
            raise
        except EngineRefusedError as error:
            if "already in progress" not in error.reason:
                raise
            client.wait_until_removed(container, _STOP_TIMEOUT_S)
