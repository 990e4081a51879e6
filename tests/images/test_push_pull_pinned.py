"""Images pinned by their digests, through a real registry, from one engine to another: two nodes, the same image."""

from pathlib import Path

import pytest

from mlperf_docker.campaigns import pinning
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.errors import RegistryError
from mlperf_docker.images import push_pull
from mlperf_docker.images.prebuilt import Moved
from mlperf_docker.images.provide import provide
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import PullPolicy
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.results.values import ImageUsed
from tests.campaigns.files import campaign
from tests.fakes.engine import FakeBuilder, FakeDisplay, FakeEngine
from tests.fixtures import cells

pytestmark = pytest.mark.engine


@pytest.fixture
def spec(catalog: Catalog) -> ImageSpec:
    return find(catalog, "resnet50", "onnxruntime")


def pushed(engine: DockerEngine, spec: ImageSpec, name: str, content: bytes, **labels: dict[str, str]) -> Moved:
    """Build an image of *content* in place of the one before, and push it."""
    cells.make(engine, spec, name, content, **labels)  # type: ignore[arg-type]
    (only,) = push_pull.push_each(
        engine, [recipe_of(spec)], Sources(name), "mlperf-test-unnamed", FakeDisplay(), jobs=1
    )
    assert only.moved is not None, only.error
    return only.moved


def provided(engine: DockerEngine, spec: ImageSpec, name: str, digest: str) -> ImageUsed:
    builder = FakeBuilder(FakeEngine())
    sources = Sources(name, pull=PullPolicy.MISSING, digest=digest)
    found = provide(engine, builder, recipe_of(spec), sources, FakeDisplay())
    assert builder.requests == []
    return found


def test_the_pinned_image_comes_although_its_tags_were_moved(
    here: DockerEngine, there: DockerEngine, spec: ImageSpec, name: str
) -> None:
    first = pushed(here, spec, name, b"first")
    second = pushed(here, spec, name, b"second")
    assert first.candidate == second.candidate, "of one hash and one tag"
    assert first.digest != second.digest
    for engine in (here, there):
        used = provided(engine, spec, name, first.digest)
        assert (used.id, used.digest) == (first.id, first.digest)
        found = images.find(engine, used.tag)
        assert found is not None
        assert found.id == first.id, "the tag that containers are started from"
    assert provided(there, spec, name, second.digest).id == second.id
    assert provided(there, spec, name, second.digest).id == second.id, "present"


def test_a_digest_that_the_registry_lacks_is_refused(here: DockerEngine, spec: ImageSpec, name: str) -> None:
    pushed(here, spec, name, b"first")
    with pytest.raises(RegistryError, match=f"The registry has no {name}/resnet50@sha256:0000") as caught:
        provided(here, spec, name, f"sha256:{'0' * 64}")
    assert "campaign pin" in str(caught.value.hint)


def test_a_pinned_image_of_another_version_of_the_tool_is_refused(
    here: DockerEngine, there: DockerEngine, spec: ImageSpec, name: str, catalog: Catalog
) -> None:
    """Its digest is right, and its hash is not that of these sources."""
    other = pushed(here, find(catalog, "resnet50", "pytorch"), name, b"another")
    for engine in (here, there):
        with pytest.raises(RegistryError, match="is not the image of resnet50:onnxruntime-cpu that this version"):
            provided(engine, spec, name, other.digest)


def test_campaign_pin_writes_the_digests_and_a_moved_tag_changes_them_only_by_it(
    here: DockerEngine, spec: ImageSpec, name: str, tmp_path: Path
) -> None:
    first = pushed(here, spec, name, b"first")
    found = campaign(tmp_path, "- model: resnet50\n  options: {synthetic: tiny}")
    sources, reference = Sources(name), f"{name}/resnet50@{first.digest}"
    assert pinning.pin(found, sources, FakeDisplay()) == [reference]
    assert f"\n    image: {reference}\n" in found.path.read_text()
    second = pushed(here, spec, name, b"second")
    assert reference in found.path.read_text()
    assert pinning.pin(found, sources, FakeDisplay()) == [f"{name}/resnet50@{second.digest}"]
    assert found.path.read_text().count("image:") == 1
