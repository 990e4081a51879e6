"""Volumes of a pod: what it sees of the folders of this host, by what campaign.yaml says of them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mlperf_docker.campaigns.kubernetes import KubernetesSettings, VolumeSource
from mlperf_docker.contract import places
from mlperf_docker.engine.plan import BindMount
from mlperf_docker.errors import UsageError

INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Variable that an Indexed Job sets in each of its pods."""


class NoVolumeError(UsageError):
    """Folders of a run are in no volume of the cluster; all of them."""

    def __init__(self, missing: Iterable[Path], settings: KubernetesSettings) -> None:
        self.missing = tuple(dict.fromkeys(missing))
        known = ", ".join(each.path for each in settings.volumes) or "none"
        folders = "\n  ".join(map(str, self.missing))
        super().__init__(
            f"No volume of the cluster has what the runs need (folders with a volume: {known}):\n  {folders}",
            hint="Say in campaign.yaml where pods find it: kubernetes: {volumes: [{path: FOLDER, claim: NAME}]}, or"
            " host_path, or nfs.",
        )


@dataclass
class PodVolumes:
    """Volumes of a pod, and what of them is mounted where."""

    settings: KubernetesSettings
    volumes: list[dict[str, Any]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)
    """Folders that no volume has."""

    @property
    def has_own_cache(self) -> bool:
        """Whether its cache ends with the pod."""
        return {"name": "cache", "emptyDir": {}} in self.volumes

    def memory(self, name: str, place: str, size_bytes: int) -> None:
        """Mount at *place* a folder of the pod's own, which is in memory."""
        self.volumes.append({"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": str(size_bytes)}})
        self.mounts.append({"name": name, "mountPath": place})

    def add(self, mount: BindMount) -> None:
        """Mount what the pod's volumes have of *mount*; note it as missing where they have nothing."""
        source, below = self._found(mount)
        if source is None and mount.container == places.CACHE:
            self.volumes.append({"name": "cache", "emptyDir": {}})
            self.mounts.append({"name": "cache", "mountPath": mount.container})
        elif source is None:
            self.missing.append(mount.host)
        else:
            self._mount(source, str(PurePosixPath(source.sub_path, below)), mount)

    def by_index(self, place: str) -> None:
        """Mount at *place*, in place of the folder there, that of the pod's index in it."""
        for each in self.mounts:
            if each["mountPath"] == place:
                folder = each.pop("subPath", "").replace("$", "$$")
                each["subPathExpr"] = str(PurePosixPath(folder, f"$({INDEX_VARIABLE})"))

    def _found(self, mount: BindMount) -> tuple[VolumeSource | None, PurePosixPath]:
        """Return the volume that has *mount*, and where below its folder; of several the nearest one."""
        if mount.container == places.CACHE and self.settings.cache:
            return self.settings.cache, PurePosixPath()
        having = [each for each in self.settings.volumes if mount.host.is_relative_to(each.path)]
        if not having:
            return None, PurePosixPath()
        nearest = max(having, key=lambda each: len(Path(each.path).parts))
        return nearest, PurePosixPath(mount.host.relative_to(nearest.path))

    def _mount(self, source: VolumeSource, sub_path: str, mount: BindMount) -> None:
        below = {} if sub_path == "." else {"subPath": sub_path}
        read_only = {"readOnly": True} if mount.read_only else {}
        self.mounts.append({"name": self._volume(source), "mountPath": mount.container, **below, **read_only})

    def _volume(self, source: VolumeSource) -> str:
        """Return the name of the pod's volume for *source*, which is listed once."""
        described = _description(source)
        for each in self.volumes:
            if {"name": each["name"], **described} == each:
                return str(each["name"])
        name = f"volume-{len(self.volumes)}"
        self.volumes.append({"name": name, **described})
        return name


def _description(source: VolumeSource) -> Mapping[str, Any]:
    """Return *source* as a pod has it."""
    if source.host_path is not None:
        return {"hostPath": {"path": source.host_path, "type": "Directory"}}
    if source.nfs is not None:
        return {"nfs": {"server": source.nfs.server, "path": source.nfs.path}}
    return {"persistentVolumeClaim": {"claimName": source.claim}}
