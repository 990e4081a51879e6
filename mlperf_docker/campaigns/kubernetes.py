"""Settings of a Kubernetes cluster, as `kubernetes` in campaign.yaml gives them."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from mlperf_docker.catalog.fields import Frozen

_WEEK_S = 7 * 24 * 3600

_Text = Annotated[str, Field(min_length=1)]


def _below(path: str) -> str:
    """Refuse a path that no volume takes below its top."""
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"{path} is no path below the top of a volume: write it without a leading / and without ..")
    return path.strip("/")


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"{path} is a path on the nodes: write it with a leading /")
    return path


class NfsShare(Frozen):
    """Folder that an NFS server exports."""

    server: _Text
    path: Annotated[str, AfterValidator(_absolute)]


class VolumeSource(Frozen):
    """Volume of a cluster: exactly one kind, and the folder in it."""

    host_path: Annotated[str, AfterValidator(_absolute)] | None = None
    """Folder of each node, such as where all of them mount one share."""
    nfs: NfsShare | None = None
    claim: _Text | None = None
    """Name of a PersistentVolumeClaim in the namespace."""
    sub_path: Annotated[str, AfterValidator(_below)] = ""
    """Folder in the volume; nothing for its top."""

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> "VolumeSource":
        kinds = {"host_path": self.host_path, "nfs": self.nfs, "claim": self.claim}
        if sum(each is not None for each in kinds.values()) != 1:
            raise ValueError(f"a volume is one of {', '.join(kinds)}")
        return self


class SharedFolder(VolumeSource):
    """Folder of this host that a volume has, too."""

    path: _Text
    """The folder here, as seen from the file's."""


class KubernetesSettings(Frozen):
    """The mapping `kubernetes`: where the pods of a campaign run, and what they see."""

    context: _Text | None = None
    """Context of the kubeconfig; None for its current one."""
    namespace: _Text | None = None
    """None for the context's."""
    volumes: tuple[SharedFolder, ...] = ()
    """Volumes with the folders of data sets, model files and results."""
    cache: VolumeSource | None = None
    """Volume of preprocessed data; None for that which has the cache here, else a folder that ends with the pod."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    """As a pod has them."""
    image_pull_secret: _Text | None = None
    gpu_resource: _Text = "nvidia.com/gpu"
    """What the cluster calls a GPU."""
    exclusive: bool = True
    """No two runs at once on a node, where they would spoil each other's figures."""
    keep_s: Annotated[int, Field(ge=0)] = _WEEK_S
    """Seconds that an ended Job stays in the cluster."""
