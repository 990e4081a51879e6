"""Images of pods: by digest where a registry has them, one error where none has, by their tag where nodes have them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.clusters.kubernetes.pod_images import image_of
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import RegistryError
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import PullPolicy
from mlperf_docker.recipe.render import recipe_of
from tests.fakes.engine import FakeDisplay
from tests.fakes.registry import Served, digest, image, serving, store


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A head node without an engine."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


def sources(registry: str, pull: PullPolicy = PullPolicy.MISSING) -> Sources:
    return Sources(registry, pull=pull)


def offering(served: Served, spec: ImageSpec) -> str:
    """Have the registry offer the image of *spec*, and return its digest."""
    blobs = image("amd64")
    manifest = next(iter(blobs.values()))
    tag = recipe_of(spec).identity.tags(spec.base.digest, "x")[0].rpartition(":")[2]
    served.answer = store(blobs, manifest, tag)
    assert json.loads(manifest)["layers"]
    return digest(manifest)


def test_a_pod_takes_the_registrys_image_by_its_digest(resnet50: ImageSpec) -> None:
    with serving() as served:
        found_digest = offering(served, resnet50)
        registry = f"{served.host}/mlperf"
        found = image_of(recipe_of(resnet50), sources(registry), FakeDisplay())
    assert found.reference == f"{registry}/resnet50@{found_digest}"
    assert found.used.digest == found_digest
    assert found.used.tag.startswith(f"{registry}/resnet50:onnxruntime-cpu-")
    assert resnet50.base.pinned in found.used.base


def test_an_image_that_the_registry_has_not_is_one_error_with_the_command_that_pushes_it(resnet50: ImageSpec) -> None:
    with serving() as served, pytest.raises(RegistryError, match=r"The registry has no .*resnet50") as caught:
        image_of(recipe_of(resnet50), sources(f"{served.host}/mlperf"), FakeDisplay())
    assert "mlperf-docker push resnet50" in (caught.value.hint or "")
    assert caught.value.exit_code is ExitCode.REGISTRY


def test_a_registry_without_a_host_is_no_place_for_nodes_to_pull_from(resnet50: ImageSpec) -> None:
    with pytest.raises(RegistryError, match="names no host") as caught:
        image_of(recipe_of(resnet50), sources("mlperf-docker"), FakeDisplay())
    assert "--pull never" in (caught.value.hint or "")


def test_nodes_that_have_the_image_know_it_by_its_tag(resnet50: ImageSpec) -> None:
    found = image_of(recipe_of(resnet50), replace(sources("mlperf-docker"), pull=PullPolicy.NEVER), FakeDisplay())
    assert found.reference == found.used.tag
    assert found.used.digest is None
