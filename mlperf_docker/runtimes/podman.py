"""Podman without a daemon, as root or, rootless, as any user: `podman run`, rendered.

The container's user is the caller, by its own number, inside and outside.
"""

import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mlperf_docker.bundle.node_images import find as bundled
from mlperf_docker.bundle.node_images import from_bundle, require_bundle
from mlperf_docker.contract import places
from mlperf_docker.contract.devices import Device
from mlperf_docker.display.progress import Display
from mlperf_docker.engine import facts
from mlperf_docker.engine.container import OWNER_LABEL, ContainerExit
from mlperf_docker.engine.local_images import find
from mlperf_docker.engine.plan import CONTAINER_LABEL, ContainerUser, Gpus, Limits, RunPlan, limit_options, mount_option
from mlperf_docker.errors import ContainerError, DeviceError, EngineError, RegistryError, UsageError
from mlperf_docker.images.candidate import Candidate, same_source
from mlperf_docker.images.lookup import candidates, present
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import PullPolicy, RuntimeName
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.results.values import ImageUsed
from mlperf_docker.runtimes import process, this_host
from mlperf_docker.runtimes.podman_store import PodmanStore, info
from mlperf_docker.runtimes.runtime import ProvidedImage
from mlperf_docker.system import owner, signals
from mlperf_docker.systems.runs_on import ContainerHost

_OWN_FAILURE = 125
_CDI_FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
_CONTROLLERS = {
    "pids": "of processes",
    "memory": "of memory",
    "cpu": "of processors",
    "cpuset": "to certain processors",
}
"""Controllers of cgroups, and what each one limits."""


@dataclass(frozen=True)
class PodmanFacts:
    """Properties of podman for this user."""

    version: str
    rootless: bool
    controllers: frozenset[str]
    """Controllers of cgroups that it may use."""
    keeps_groups: bool
    """Whether its OCI runtime can hand over the caller's supplementary groups."""

    @classmethod
    def read(cls, about: Mapping[str, Any]) -> "PodmanFacts":
        """Read what `podman info` tells. On version 1 of cgroups a user has none, whatever is mounted."""
        host = about["host"]
        rootless = bool(host["security"]["rootless"])
        usable = () if rootless and host["cgroupVersion"] == "v1" else host.get("cgroupControllers") or ()
        return cls(about["version"]["Version"], rootless, frozenset(usable), host["ociRuntime"]["name"] == "crun")

    @property
    def missing(self) -> tuple[str, ...]:
        """Controllers that it lacks."""
        return tuple(name for name in _CONTROLLERS if name not in self.controllers)


class PodmanRuntime:
    """The caller's podman."""

    name = RuntimeName.PODMAN

    @cached_property
    def facts(self) -> PodmanFacts:
        """What podman tells of itself. Raises EngineError where it is not installed."""
        return PodmanFacts.read(info())

    @property
    def unconfined(self) -> tuple[str, ...]:
        """A sentence for each limit that this user cannot set."""
        return tuple(
            f"No limit {_CONTROLLERS[name]}: podman has no cgroup controller {name} here."
            for name in self.facts.missing
        )

    def version(self) -> str:
        """Return podman's version."""
        return self.facts.version

    def require(self, device: Device, limits: Limits) -> None:
        """Raise DeviceError and UsageError for a device or a limit that podman cannot give."""
        asked = {"memory": limits.memory_bytes, "cpu": limits.cpus, "cpuset": limits.cpuset}
        names = {"memory": "--memory", "cpu": "--cpus", "cpuset": "--cpuset"}
        refused = [option for name, option in names.items() if asked[name] and name in self.facts.missing]
        if refused:
            raise UsageError(
                f"Podman cannot set {' and '.join(refused)} for this user: it has no cgroup controller for that.",
                hint="Have the controllers delegated to users (cgroup v2, systemd's Delegate=), or leave it to Slurm.",
            )
        facts.require_here(device)
        if device.profile.runtime and not any(each.is_dir() and any(each.iterdir()) for each in _CDI_FOLDERS):
            raise DeviceError(
                f"--device {device} needs a description of the GPUs for podman, and {_CDI_FOLDERS[0]} has none.",
                hint="Make one: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
            )

    def provide(self, recipe: Recipe, sources: Sources, display: Display) -> ProvidedImage:
        """Return the image in podman's store, from a bundle or a registry where it is not there; none is built."""
        store = PodmanStore()
        if sources.bundle is not None:
            image = from_bundle(store, require_bundle(sources), recipe, sources.registry, display)
        elif sources.digest is not None:
            return _pinned(store, recipe, f"{sources.registry}/{recipe.spec.model.name}@{sources.digest}", display)
        else:
            image = _from_registry(store, recipe, sources, display)
        return ProvidedImage(image, image.tag)

    def foreseen(self, recipe: Recipe, sources: Sources) -> str:
        """Return the tag of the bundle's image, else that on the pinned base."""
        if sources.bundle is not None:
            return bundled(require_bundle(sources), recipe, sources.registry).used.tag
        return recipe.identity.tags(recipe.identity.base.digest, sources.registry)[0]

    def user(self) -> ContainerUser:
        """Return the caller; rootless, in a user namespace that has its number, too."""
        return replace(this_host.user(), userns="keep-id" if os.getuid() else None)

    def host(self) -> ContainerHost:
        """Return this host."""
        return this_host.host("Podman", self.version())

    def run(
        self, plan: RunPlan, *, on_stdout: Callable[[str], None], on_stderr: Callable[[str], None]
    ) -> ContainerExit:
        """Run *plan*. A container that outlives podman's own process is removed."""
        name = f"mlperf-docker-{uuid.uuid4().hex[:12]}"
        said: list[str] = []

        def hear(line: str) -> None:
            said[:] = [line]
            on_stderr(line)

        try:
            ended = process.run(podman_argv(plan, self.facts, name), {}, on_stdout=on_stdout, on_stderr=hear)
        finally:
            with signals.deferred():
                _remove(name)
        if ended.code == _OWN_FAILURE:
            raise ContainerError(f"Podman cannot start the container: {''.join(said) or 'it does not say why'}")
        return ended

    def argv(self, plan: RunPlan) -> list[str]:
        """Return the `podman run`."""
        return podman_argv(plan, self.facts)

    def tidy(self, say: Callable[[str], None]) -> None:
        """Remove containers whose tool was killed."""
        listed = process.ask(["podman", "ps", "--all", f"--filter=label={CONTAINER_LABEL}", "--format=json"])
        for each in json.loads(listed) or ():
            if owner.is_gone((each.get("Labels") or {}).get(OWNER_LABEL, "")):
                _remove(each["Id"])
                say(f"Removed container {each['Names'][0]}: the tool that started it was killed.")


def _remove(container: str) -> None:
    process.ask(["podman", "rm", "--force", "--ignore", "--time=0", container])


def podman_argv(plan: RunPlan, about: PodmanFacts, name: str | None = None) -> list[str]:
    """Return the `podman run` of *plan*; pure. name: of the container, and then it is for a run and not for people.

    Proxies of the host stay outside, and so do the writable /run and /var/tmp that podman adds to a read-only root.
    """
    who = plan.surroundings
    gpus = plan.limits.gpu_request
    keeps = ["--group-add=keep-groups"] if who.groups and about.keeps_groups and about.rootless else []
    given = [] if about.rootless else [f"--group-add={group}" for group in who.groups]
    return [
        "podman",
        "run",
        "--rm",
        "--init",
        "--pull=never",
        "--log-driver=none",
        *(["--interactive", f"--name={name}", f"--label={OWNER_LABEL}={owner.current()}"] if name else []),
        f"--user={who.user}",
        *keeps,
        *given,
        *([f"--userns={who.userns}"] if who.userns else []),
        *([f"--pids-limit={who.processes}"] if "pids" in about.controllers else []),
        "--network=none",
        "--read-only",
        "--read-only-tmpfs=false",
        f"--tmpfs=/tmp:rw,noexec,nosuid,nodev,{plan.tmpfs}",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--http-proxy=false",
        f"--label={CONTAINER_LABEL}",
        *(f"--label={key}={value}" for key, value in plan.labels),
        *([f"--env={places.LIFELINE_VARIABLE}=1"] if name else []),
        *(f"--env={key}={value}" for key, value in plan.environment),
        *limit_options(replace(plan.limits, gpus=None)),
        *(f"--device={device}" for device in _cdi_names(gpus)),
        *(f"--device={device}" for device in plan.devices),
        *map(mount_option, plan.mounts),
        *([f"--entrypoint={plan.entrypoint}"] if plan.entrypoint else []),
        plan.image,
        *plan.arguments,
    ]


def _cdi_names(gpus: Gpus | None) -> Iterator[str]:
    """Yield the names of *gpus* in the Container Device Interface."""
    kinds = [each.profile.runtime.cdi for each in Device if each.profile.runtime]
    if gpus is not None:
        yield from (f"{kind.rstrip('=')}={each}" for kind in kinds for each in gpus.names)


def _pinned(store: PodmanStore, recipe: Recipe, reference: str, display: Display) -> ProvidedImage:
    """Return the image *reference*, by its digest. Raises RegistryError where it is another one than *recipe*'s."""
    if find(store, reference) is None:
        display.phase(f"pull {reference}")
        store.pull(reference)
    image = find(store, reference)
    made = same_source(recipe.identity, image.labels, reference.rpartition("/")[0]) if image else None
    if image is None or made is None:
        raise RegistryError(f"{reference} is not the image of {recipe} that this version runs.")
    return ProvidedImage(made.used(image), reference)


def _from_registry(store: PodmanStore, recipe: Recipe, sources: Sources, display: Display) -> ImageUsed:
    known = candidates(store, recipe.identity, sources)
    here = present(store, known) if sources.pull is not PullPolicy.ALWAYS else None
    if here is not None:
        display.say(f"Image {here[0].exact}: present.")
        return here[0].used(here[1])
    if sources.pull is PullPolicy.NEVER or not sources.has_registry:
        raise EngineError(
            f"Podman has no image {known[0].exact}, and this tool builds images with Docker's engine only.",
            hint=f"Write a bundle where there is one (mlperf-docker bundle write {recipe.spec.words} --to DIR) and name"
            " it here: --bundle DIR. Or name a registry: --registry.",
        )
    display.phase(f"pull {known[0].exact}")
    return _pulled(store, known)


def _pulled(store: PodmanStore, known: list[Candidate]) -> ImageUsed:
    """Return the first of *known* that the registry has. Raises the first one's RegistryError."""
    first: RegistryError | None = None
    for each in known:
        try:
            store.pull(each.exact)
        except RegistryError as error:
            first = first or error
            continue
        found = present(store, [each])
        if found is not None:
            return found[0].used(found[1])
    raise first or RegistryError(f"{known[0].exact} was pulled, and is not there.")
