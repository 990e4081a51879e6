"""Look-ups in a real registry: our own client's, and the engine's."""

import hashlib
import json

import pytest
import requests

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine.client import DockerEngine
from tests.fixtures import cells
from tests.fixtures.docker_client import api
from tests.images.test_push_pull_transfers import MANIFEST, manifest, moved, push

pytestmark = pytest.mark.engine
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"


def put_index(name: str, tag: str, of: requests.Response) -> str:
    """Make an index of one image, whose manifest is the answer *of*, at *tag* of *name*; return the index's digest."""
    digest, platform = f"sha256:{hashlib.sha256(of.content).hexdigest()}", {"os": "linux", "architecture": "amd64"}
    entry = {"mediaType": MANIFEST, "size": len(of.content), "digest": digest, "platform": platform}
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    host, _, path = name.partition("/")
    url = f"http://{host}/v2/{path}/manifests/{tag}"
    requests.put(url, data=body, headers={"Content-Type": INDEX}, timeout=10).raise_for_status()
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def test_the_digest_of_a_tag_is_the_one_that_the_engine_is_told(
    here: DockerEngine, resnet50: ImageSpec, name: str
) -> None:
    cells.make(here, resnet50, name, b"harness")
    pushed = moved(push(here, name, resnet50))
    repository, exact = f"{name}/resnet50", pushed.candidate.exact
    index = put_index(repository, "index", manifest(repository, exact.rpartition(":")[2]))
    registries = here.registries(pytest.fail)
    for reference, digest in ((exact, pushed.digest), (f"{repository}:index", index)):
        found = registries.describe(reference)
        assert found is not None
        told = api(here).inspect_distribution(reference)  # type: ignore[no-untyped-call]  # its stubs leave it so
        assert found.digest == digest == told["Descriptor"]["digest"]
