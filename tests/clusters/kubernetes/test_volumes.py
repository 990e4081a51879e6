"""Volumes of a pod: each folder by the volume that has it, and all that none has in one error."""

from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.campaigns.kubernetes import KubernetesSettings
from mlperf_docker.clusters.kubernetes import jobs
from mlperf_docker.clusters.kubernetes.volumes import NoVolumeError, PodVolumes
from mlperf_docker.engine.plan import BindMount
from tests.clusters.kubernetes.test_jobs import MOUNTS, SETTINGS, job, run, spec


def settings(*volumes: dict[str, Any], **more: Any) -> KubernetesSettings:
    return KubernetesSettings.model_validate({"volumes": list(volumes), **more})


def mounted(mount: BindMount, found: KubernetesSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    """The volume and the mount of it that *mount* is."""
    volumes = PodVolumes(found)
    volumes.add(mount)
    (volume,), (place,) = volumes.volumes, volumes.mounts
    assert volume.pop("name") == place.pop("name")
    return volume, place


@pytest.mark.parametrize(
    ("source", "volume"),
    [
        ({"host_path": "/mnt"}, {"hostPath": {"path": "/mnt", "type": "Directory"}}),
        ({"nfs": {"server": "nas", "path": "/e"}}, {"nfs": {"server": "nas", "path": "/e"}}),
        ({"claim": "data"}, {"persistentVolumeClaim": {"claimName": "data"}}),
    ],
)
def test_a_folder_is_mounted_from_the_volume_that_has_it(source: dict[str, Any], volume: dict[str, Any]) -> None:
    found = settings({"path": "/shared", "sub_path": "lab", **source})
    place = {"mountPath": "/data", "subPath": "lab/data/imagenet", "readOnly": True}
    assert mounted(MOUNTS[0], found) == (volume, place)


def test_the_nearest_of_several_volumes_is_taken() -> None:
    found = settings({"path": "/shared", "claim": "all"}, {"path": "/shared/data", "claim": "data"})
    assert mounted(MOUNTS[0], found) == (
        {"persistentVolumeClaim": {"claimName": "data"}},
        {"mountPath": "/data", "subPath": "imagenet", "readOnly": True},
    )


def test_the_top_of_a_volume_has_no_sub_path_and_a_neighbour_of_like_name_no_volume() -> None:
    found = settings({"path": "/shared/data/imagenet", "claim": "data"})
    assert mounted(MOUNTS[0], found)[1] == {"mountPath": "/data", "readOnly": True}
    volumes = PodVolumes(settings({"path": "/shared/data/image", "claim": "data"}))
    volumes.add(MOUNTS[0])
    assert volumes.missing == [Path("/shared/data/imagenet")]


def test_every_folder_without_a_volume_is_named_at_once() -> None:
    with pytest.raises(NoVolumeError) as caught:
        jobs.manifest(job(), settings({"path": "/elsewhere", "claim": "x"}))
    assert [str(each) for each in caught.value.missing] == [str(MOUNTS[n].host) for n in (0, 1, 3)]
    assert "kubernetes: {volumes:" in (caught.value.hint or "")


def test_the_cache_is_in_its_own_volume_or_ends_with_the_pod() -> None:
    assert mounted(MOUNTS[2], SETTINGS) == ({"emptyDir": {}}, {"mountPath": "/cache"})
    kept = settings(cache={"host_path": "/var/cache/mlperf"})
    assert mounted(MOUNTS[2], kept)[0] == {"hostPath": {"path": "/var/cache/mlperf", "type": "Directory"}}


def test_a_volume_of_several_folders_is_listed_once() -> None:
    volumes = spec(jobs.manifest(job(), SETTINGS))["volumes"]
    assert [next(key for key in each if key != "name") for each in volumes] == ["emptyDir", "nfs", "emptyDir"]


def test_a_pod_of_an_index_writes_to_the_folder_of_its_index() -> None:
    made = jobs.manifest(job(run("a"), run("b")), SETTINGS)
    (results,) = (each for each in spec(made)["containers"][0]["volumeMounts"] if each["mountPath"] == "/results")
    assert results["subPathExpr"] == "campaign/results/.pods/mlperf-1/$(JOB_COMPLETION_INDEX)"
    assert "subPath" not in results
