"""Controller of Jobs and kubelet of a test's cluster: pods of Jobs on nodes, each a container that really runs."""

import datetime as dt
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.fakes.kubernetes_state import Object, Refusal, State

_INDEX = "batch.kubernetes.io/job-completion-index"
_REFERENCE = re.compile(r"\$(?:\$|\((\w+)\))")
_LOOK_S = 0.02
_AGAIN_S = 1.1  # a pod is newer than one of the second before


@dataclass(frozen=True)
class Mounted:
    """Folder or file of this host in a container."""

    host: Path
    place: str
    read_only: bool


@dataclass(frozen=True)
class Asked:
    """Container of a pod as the kubelet asks for it: all names resolved."""

    name: str
    spec: Mapping[str, Any]
    """The pod's."""
    container: Mapping[str, Any]
    command: tuple[str, ...] | None
    """None for the image's own entry point."""
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[Mounted, ...]


class Running(Protocol):
    """Container that was started; its output goes to a file."""

    def wait(self) -> tuple[int, bool]:
        """Wait for its end; its exit code, and whether it ran out of memory."""

    def kill(self) -> None:
        """End it."""


class Containers(Protocol):
    """Runner of containers."""

    def start(self, asked: Asked, log: Path) -> Running:
        """Start one. Raises LookupError where there is no such image."""


@dataclass
class Kubelet:
    """containers: what runs them; folder: where logs are kept; nodes: names of the nodes, each with one pod at a time.

    shares: NFS exports and claims, by `server:path` or name, and the folders of this host that they are.
    """

    containers: Containers
    folder: Path
    nodes: tuple[str, ...] = ("n1", "n2")
    shares: Mapping[str, Path] = field(default_factory=dict)
    state: State = field(default_factory=State)
    _running: dict[str, Running] = field(default_factory=dict)
    _busy: set[str] = field(default_factory=set)
    _free: threading.Condition = field(default_factory=threading.Condition)
    _disrupted: set[str] = field(default_factory=set)
    _stopped: bool = False

    def begin(self, namespace: str, job: Object) -> None:
        """Make the pods of *job*, and run each when a node is free."""
        count = job["spec"].get("completions", 1) if job["spec"].get("completionMode") == "Indexed" else 1
        for index in range(count):
            pod = _pod(job, index)
            self.state.create("pods", namespace, pod)
            threading.Thread(target=self._run, args=(namespace, job, pod), daemon=True).start()

    def end(self, namespace: str, job: Object, *, with_pods: bool) -> None:
        """End what a deleted *job* has left."""
        if not with_pods:
            return
        for pod in self.state.listed("pods", namespace, f"job-name={job['metadata']['name']}")[0]:
            self.remove(namespace, pod["metadata"]["name"])

    def remove(self, namespace: str, pod: str) -> None:
        """Delete a pod, with its container and its log."""
        self.state.delete("pods", namespace, pod)
        if pod in self._running:
            self._running[pod].kill()
        with self._free:
            self._free.notify_all()

    def disrupt(self, namespace: str, pod: str) -> int:
        """End a pod that runs, as where its node is drained; its Job makes another one. Return how many were ended."""
        if pod not in self._running:
            return 0
        self._disrupted.add(pod)
        self._running[pod].kill()
        return 1

    def node(self, name: str) -> Object:
        """The node, as the API has it."""
        if name not in self.nodes:
            raise Refusal(404, "NotFound", f'nodes "{name}" not found')
        system = os.uname()
        told = {
            "architecture": "amd64",
            "kernelVersion": system.release,
            "osImage": "Test Linux 1",
            "containerRuntimeVersion": "docker://20.10",
        }
        return {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {"name": name},
            "status": {"nodeInfo": told, "capacity": {"cpu": str(os.cpu_count()), "memory": "16384000Ki"}},
        }

    def log(self, pod: str, *, follow: bool) -> Iterator[bytes]:
        """The log of *pod*; follow: up to the end of its container."""
        path = self.folder / f"{pod}.log"
        if not path.exists() or not self._is_there("lab", pod):
            raise Refusal(404, "NotFound", f'pods "{pod}" not found')
        return self._read(pod, path, follow=follow)

    def _read(self, pod: str, path: Path, *, follow: bool) -> Iterator[bytes]:
        with path.open("rb") as stream:
            while not self._stopped:
                ended = pod not in self._running
                if data := stream.read():
                    yield data
                elif ended or not follow:
                    return
                else:
                    time.sleep(_LOOK_S)

    def stop(self) -> None:
        """End everything that runs."""
        with self._free:
            self._stopped = True
            self._free.notify_all()
        for each in list(self._running.values()):
            each.kill()

    def _run(self, namespace: str, job: Object, pod: Object) -> None:
        name = pod["metadata"]["name"]
        node = self._taken(namespace, pod)
        if node is None:
            return
        try:
            self._run_on(node, namespace, pod)
        finally:
            with self._free:
                self._busy.discard(node)
                self._free.notify_all()
        if name in self._disrupted:
            time.sleep(_AGAIN_S)
            again = _pod(job, int(pod["metadata"]["annotations"].get(_INDEX, 0)), suffix="again")
            self.state.create("pods", namespace, again)
            self._run(namespace, job, again)
        else:
            self._count(namespace, job, name)

    def _taken(self, namespace: str, pod: Object) -> str | None:
        """The node for *pod*, when one is free; None where the pod is gone by then."""
        apart = "affinity" in pod["spec"]
        with self._free:
            while not self._stopped:
                if not self._is_there(namespace, pod["metadata"]["name"]):
                    return None
                free = [node for node in self.nodes if not apart or node not in self._busy]
                if free:
                    self._busy.add(free[0])
                    return free[0]
                self._free.wait()
        return None

    def _is_there(self, namespace: str, pod: str) -> bool:
        try:
            self.state.get("pods", namespace, pod)
        except Refusal:
            return False
        return True

    def _run_on(self, node: str, namespace: str, pod: Object) -> None:
        name, log = pod["metadata"]["name"], self.folder / f"{pod['metadata']['name']}.log"
        self._tell(namespace, name, lambda found: found["spec"].update(nodeName=node))
        try:
            asked = self._asked(pod)
            log.touch()
            running = self.containers.start(asked, log)
        except LookupError as error:
            waiting = {"waiting": {"reason": "ErrImagePull", "message": str(error)}}
            self._tell(namespace, name, lambda found: _status(found, "Pending", waiting))
            return
        started = _now()
        self._running[name] = running
        self._tell(namespace, name, lambda found: _status(found, "Running", {"running": {"startedAt": started}}))
        code, out_of_memory = running.wait()
        del self._running[name]
        reason = "OOMKilled" if out_of_memory else "Error" if code else "Completed"
        end = {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": _now()}
        phase = "Failed" if code else "Succeeded"
        disrupted = [{"type": "DisruptionTarget", "status": "True"}] if name in self._disrupted else []
        self._tell(namespace, name, lambda found: _status(found, phase, {"terminated": end}, disrupted))

    def _tell(self, namespace: str, pod: str, change: Any) -> None:
        self.state.update("pods", namespace, pod, change)

    def _count(self, namespace: str, job: Object, pod: str) -> None:
        phase = self.state.get("pods", namespace, pod)["status"]["phase"] if self._is_there(namespace, pod) else ""
        key = {"Succeeded": "succeeded", "Failed": "failed"}.get(phase)
        if key:
            more = lambda found: found["status"].update({key: found["status"].get(key, 0) + 1})  # noqa: E731
            self.state.update("jobs", namespace, job["metadata"]["name"], more)

    def _asked(self, pod: Object) -> Asked:
        (container,) = pod["spec"]["containers"]
        environment = {each["name"]: each["value"] for each in container.get("env", ())}
        index = pod["metadata"]["annotations"].get(_INDEX)
        variables = environment | ({"JOB_COMPLETION_INDEX": index} if index is not None else {})
        command = container.get("command")
        return Asked(
            name=pod["metadata"]["name"],
            spec=pod["spec"],
            container=container,
            command=tuple(_expanded(word, variables) for word in command) if command else None,
            arguments=tuple(_expanded(word, variables) for word in container.get("args", ())),
            environment={name: _expanded(value, variables) for name, value in variables.items()},
            mounts=tuple(self._mounts(pod, container, variables)),
        )

    def _mounts(self, pod: Object, container: Object, variables: Mapping[str, str]) -> Iterator[Mounted]:
        volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
        for mount in container["volumeMounts"]:
            top = self._top(volumes[mount["name"]], pod["metadata"]["name"])
            if top is None:
                continue
            below = _expanded(mount.get("subPathExpr", ""), variables) or mount.get("subPath", "")
            host = top / below
            if not host.exists():
                host.mkdir(mode=0o750, parents=True)  # by root, as a kubelet does
            yield Mounted(host, mount["mountPath"], bool(mount.get("readOnly")))

    def _top(self, volume: Object, pod: str) -> Path | None:
        """The folder of this host that *volume* is; None for one in memory."""
        if "hostPath" in volume:
            path = Path(volume["hostPath"]["path"])
            assert path.is_dir(), f"hostPath type check failed: {path} is not a directory"
            return path
        if "nfs" in volume:
            return self.shares[f"{volume['nfs']['server']}:{volume['nfs']['path']}"]
        if "persistentVolumeClaim" in volume:
            return self.shares[volume["persistentVolumeClaim"]["claimName"]]
        if volume["emptyDir"].get("medium") == "Memory":
            return None
        own = self.folder / f"{pod}.{volume['name']}"
        own.mkdir(mode=0o777, exist_ok=True)
        own.chmod(0o777)
        return own


def _pod(job: Object, index: int, suffix: str = "abcde") -> Object:
    template, name = job["spec"]["template"], job["metadata"]["name"]
    indexed = job["spec"].get("completionMode") == "Indexed"
    labels = {**template["metadata"].get("labels", {}), "job-name": name, "batch.kubernetes.io/job-name": name}
    annotations = {_INDEX: str(index)} if indexed else {}
    suffix = f"{index}-{suffix}" if indexed else suffix
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{name}-{suffix}", "labels": labels, "annotations": annotations},
        "spec": json.loads(json.dumps(template["spec"])),
        "status": {"phase": "Pending"},
    }


def _status(pod: Object, phase: str, state: Object, conditions: Sequence[Object] = ()) -> None:
    (container,) = pod["spec"]["containers"]
    image = f"docker-pullable://{container['image'].partition(':')[0]}@sha256:{'a' * 64}"
    told = {"name": container["name"], "image": container["image"], "imageID": image, "state": state}
    pod["status"] = {"phase": phase, "containerStatuses": [told], "conditions": list(conditions)}


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    """Kubernetes' own expansion: $(NAME) of a variable that is known, $$ for one $."""
    return _REFERENCE.sub(lambda found: variables.get(found[1], found[0]) if found[1] else "$", text)


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
