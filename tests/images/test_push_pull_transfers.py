"""Push and pull through a real registry, from one engine to another: what arrives, what moves, what is refused."""

import hashlib
import json
from collections.abc import Sequence

import pytest
import requests

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.errors import MlperfDockerError, RegistryError
from mlperf_docker.images import push_pull
from mlperf_docker.images.known_bases import Base
from mlperf_docker.images.prebuilt import Moved, RegistryState
from mlperf_docker.images.push_pull import SeveralFailedError, TransferredCell
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.reference_layer import reference_recipe
from mlperf_docker.recipe.render import recipe_of
from tests.fakes.engine import FakeDisplay
from tests.fixtures import cells
from tests.fixtures.docker_client import api
from tests.fixtures.registries import Registries

pytestmark = pytest.mark.engine
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
UNNAMED = "mlperf-test-unnamed"


def push(engine: DockerEngine, name: str, *specs: ImageSpec, jobs: int = 2) -> list[TransferredCell]:
    return push_pull.push_each(engine, list(map(recipe_of, specs)), Sources(name), UNNAMED, FakeDisplay(), jobs=jobs)


def pull(engine: DockerEngine, name: str, *specs: ImageSpec, digest: str = "") -> list[TransferredCell]:
    return push_pull.pull_each(engine, list(map(recipe_of, specs)), Sources(name), FakeDisplay(), jobs=2, digest=digest)


def moved(outcomes: Sequence[TransferredCell]) -> Moved:
    """Return the one image that was moved. Raises what went wrong instead."""
    push_pull.require_all(outcomes, "moved")
    (only,) = outcomes
    assert only.moved is not None
    return only.moved


def refusal(outcomes: Sequence[TransferredCell]) -> MlperfDockerError:
    (only,) = outcomes
    assert only.error is not None
    return only.error


def manifest(name: str, tag: str) -> requests.Response:
    """Ask the registry without any code of ours. name: with its host."""
    host, _, path = name.partition("/")
    return requests.get(f"http://{host}/v2/{path}/manifests/{tag}", headers={"Accept": MANIFEST}, timeout=10)


def cell(catalog: Catalog, name: str) -> ImageSpec:
    return next(spec for spec in catalog.specs if str(spec) == name)


def test_an_image_pushed_here_arrives_there(
    here: DockerEngine, there: DockerEngine, resnet50: ImageSpec, name: str
) -> None:
    wanted = cells.make(here, resnet50, name, b"harness")
    pushed = moved(push(here, name, resnet50))
    assert (pushed.state, pushed.candidate) == (RegistryState.PUSHED, wanted)
    for tag in (wanted.exact, wanted.moving):
        answer = manifest(f"{name}/resnet50", tag.rpartition(":")[2])
        assert pushed.digest == f"sha256:{hashlib.sha256(answer.content).hexdigest()}", tag
    pulled = moved(pull(there, name, resnet50))
    assert (pulled.state, pulled.digest, pulled.id) == (RegistryState.PULLED, pushed.digest, pushed.id)
    assert pulled.size_bytes == sum(layer["size"] for layer in answer.json()["layers"])
    found = images.find(there, wanted.exact)
    assert found is not None
    assert found.id == pushed.id
    assert set(found.tags) == {wanted.exact, wanted.moving}
    assert found.digests == (f"{name}/resnet50@{pushed.digest}",)


def test_an_image_with_a_reference_goes_through_a_registry_beside_its_cells(
    here: DockerEngine, there: DockerEngine, resnet50: ImageSpec, name: str
) -> None:
    recipe, display = reference_recipe(resnet50), FakeDisplay()
    own = cells.make(here, resnet50, name, b"harness")
    wanted = cells.make(here, resnet50, name, b"harness", b"reference", recipe=recipe)
    assert {wanted.moving, own.moving} == {f"{name}/{each}" for each in (recipe, resnet50)}
    moved(push(here, name, resnet50))
    pushed = moved(push_pull.push_each(here, [recipe], Sources(name), UNNAMED, display, jobs=1))
    pulled = moved(push_pull.pull_each(there, [recipe], Sources(name), display, jobs=1))
    assert (pulled.state, pulled.candidate.exact, pulled.id) == (RegistryState.PULLED, wanted.exact, pushed.id)
    assert images.find(there, own.exact) is None, "that was not asked for"


def test_an_image_that_is_present_is_not_transferred(
    here: DockerEngine, there: DockerEngine, resnet50: ImageSpec, name: str, registries: Registries
) -> None:
    wanted = cells.make(here, resnet50, name, b"harness")
    first = moved(push(here, name, resnet50))
    moved(pull(there, name, resnet50))
    uploads, blobs = (f"/v2/{name.partition('/')[2]}/resnet50/blobs/{kind}" for kind in ("uploads/", "sha256:"))
    sent = len(registries.open.served(here, method="POST", path=uploads))
    asked = len(registries.open.served(here, path=blobs))
    assert sent
    assert moved(push(here, name, resnet50)).digest == first.digest
    there.remove_image(wanted.exact, parents=False)  # as an interruption between pulling and naming leaves it
    again = moved(pull(there, name, resnet50))
    assert (again.state, again.size_bytes) == (RegistryState.PRESENT, 0)
    assert images.find(there, wanted.exact) is not None
    assert len(registries.open.served(here, method="POST", path=uploads)) == sent
    (labels,) = registries.open.served(here, path=blobs)[asked:]
    assert labels["http.request.uri"].endswith(first.id), "the labels are looked at, and no layer is asked for"


def test_a_local_image_under_another_name_is_pushed(here: DockerEngine, resnet50: ImageSpec, name: str) -> None:
    built = cells.make(here, resnet50, UNNAMED, b"harness")
    pushed = moved(push(here, name, resnet50))
    assert pushed.candidate.exact == built.exact.replace(UNNAMED, name)
    assert manifest(f"{name}/resnet50", built.exact.rpartition(":")[2]).ok


def test_an_image_on_a_base_of_another_machine_is_pulled_by_its_source(
    here: DockerEngine, there: DockerEngine, resnet50: ImageSpec, name: str
) -> None:
    """A bootstrapped base has an id that only its machine knows; the exact tag cannot be told beforehand elsewhere."""
    base = Base("mlperf-docker/base:bookworm", f"sha256:{'b' * 64}", "bootstrapped")
    wanted = cells.make(here, resnet50, name, b"harness", base=base)
    for reference in (wanted.exact, wanted.moving):
        list(here.push_image(*reference.rsplit(":", 1)))
    pulled = moved(pull(there, name, resnet50))
    assert pulled.candidate == wanted
    assert images.find(there, wanted.exact) is not None
    assert moved(pull(there, name, resnet50)).state is RegistryState.PRESENT


def test_an_image_of_another_source_is_not(
    here: DockerEngine, there: DockerEngine, resnet50: ImageSpec, name: str
) -> None:
    base = Base("mlperf-docker/base:bookworm", f"sha256:{'b' * 64}", "bootstrapped")
    other = cells.make(here, resnet50, name, base=base, labels={"hash": "000000000000"}, revision="0123abc")
    list(here.push_image(*other.moving.rsplit(":", 1)))
    error = refusal(pull(there, name, resnet50))
    assert error.exit_code is ExitCode.REGISTRY
    assert "is not in the registry. It has: onnxruntime-cpu." in str(error)
    assert "(the newest, onnxruntime-cpu, is of revision 0123abc)" in (error.hint or "")


def test_no_such_tag_says_which_there_are(here: DockerEngine, resnet50: ImageSpec, catalog: Catalog, name: str) -> None:
    bert = cell(catalog, "resnet50:pytorch-cpu")
    there_is = cells.make(here, bert, name, b"harness")
    moved(push(here, name, bert))
    error = refusal(pull(here, name, resnet50))
    tag = there_is.exact.rpartition(":")[2]
    assert f"It has: pytorch-cpu, {tag}." in str(error)
    assert "mlperf-docker build resnet50 -b onnxruntime -d cpu --push" in (error.hint or "")


def test_an_image_that_is_not_here_is_not_pushed(here: DockerEngine, resnet50: ImageSpec, name: str) -> None:
    error = refusal(push(here, name, resnet50))
    assert "it is not on this engine" in str(error)
    assert "--push" in (error.hint or "")


def test_a_pull_that_fails_does_not_stop_the_others(
    here: DockerEngine, there: DockerEngine, catalog: Catalog, name: str
) -> None:
    specs = [cell(catalog, f"{model}:onnxruntime-cpu") for model in ("resnet50", "retinanet", "bert", "dlrm")]
    for spec in (specs[0], specs[2]):
        cells.make(here, spec, name, str(spec).encode())
    pushed = push(here, name, *specs)
    assert [each.moved is not None for each in pushed] == [True, False, True, False]
    with pytest.raises(SeveralFailedError, match=r"2 of 4 images were not pushed:\n  retinanet.*\n  dlrm") as caught:
        push_pull.require_all(pushed, "pushed")
    assert caught.value.exit_code is ExitCode.REGISTRY
    pulled = pull(there, name, *specs)
    assert [each.fields()["digest"] for each in pulled] == [each.fields()["digest"] for each in pushed]
    assert push_pull.offered(there, [recipe_of(spec).identity for spec in specs], Sources(name)) == {
        str(specs[0]),
        str(specs[2]),
    }


def test_layers_that_a_backends_images_share_are_sent_and_fetched_once(
    here: DockerEngine, there: DockerEngine, catalog: Catalog, name: str, registries: Registries
) -> None:
    specs = [cell(catalog, f"{model}:onnxruntime-cpu") for model in ("resnet50", "bert")]
    for spec in specs:
        cells.make(here, spec, name, b"backend" * 1000, str(spec).encode())
    mounted = f"/v2/{name.partition('/')[2]}/bert/blobs/uploads/?from="
    push_pull.require_all(push(here, name, *specs, jobs=4), "pushed")
    assert len(registries.open.served(here, method="POST", path=mounted)) >= 2, "taken over from the first"
    first = moved(pull(there, name, specs[0])).size_bytes
    second = moved(pull(there, name, specs[1])).size_bytes
    assert first is not None
    assert second is not None
    assert 0 < second < first / 10


@pytest.mark.parametrize(("key", "value"), [("cell", "bert:onnxruntime-cpu"), ("hash", "000000000000")])
def test_an_image_that_is_not_what_its_tag_says(
    here: DockerEngine, there: DockerEngine, resnet50: ImageSpec, name: str, key: str, value: str
) -> None:
    wanted = cells.make(here, resnet50, name, labels={key: value})
    refused = refusal(push(here, name, resnet50))
    assert f"its label org.mlperf-docker.{key} is {value!r}" in str(refused)
    list(here.push_image(*wanted.exact.rsplit(":", 1)))
    assert str(refusal(pull(there, name, resnet50))) == str(refused)
    assert images.find(there, wanted.exact) is None


def test_another_digest_than_the_one_asked_for(
    here: DockerEngine, there: DockerEngine, resnet50: ImageSpec, name: str
) -> None:
    wanted = cells.make(here, resnet50, name)
    digest = moved(push(here, name, resnet50)).digest
    other = f"sha256:{'0' * 64}"
    error = refusal(pull(there, name, resnet50, digest=other))
    assert str(error) == f"{wanted.exact} has the digest {digest} in the registry, not {other}."
    assert images.find(there, wanted.exact) is None
    assert moved(pull(there, name, resnet50, digest=digest)).digest == digest


def test_a_damaged_layer_is_named_and_not_tried_again(
    here: DockerEngine, there: DockerEngine, resnet50: ImageSpec, name: str, registries: Registries
) -> None:
    wanted = cells.make(here, resnet50, name, b"x" * 4096)
    moved(push(here, name, resnet50))
    layer = manifest(f"{name}/resnet50", "onnxruntime-cpu").json()["layers"][-1]["digest"].partition(":")[2]
    blob = f"/var/lib/docker-registry/docker/registry/v2/blobs/sha256/{layer[:2]}/{layer}/data"
    damage = f"printf x | dd of={blob} bs=1 seek=40 conv=notrunc"
    created = api(here).exec_create(registries.open.container, ["sh", "-c", damage])
    api(here).exec_start(created["Id"])
    assert api(here).exec_inspect(created["Id"])["ExitCode"] == 0
    display = FakeDisplay()
    (outcome,) = push_pull.pull_each(there, [recipe_of(resnet50)], Sources(name), display, jobs=1)
    assert isinstance(outcome.error, RegistryError)
    assert "is not what its digest says" in str(outcome.error)
    assert not [line for line in display.said if "trying again" in line]
    assert images.find(there, wanted.exact) is None


def test_an_image_for_another_architecture_is_not_pulled(
    here: DockerEngine, there: DockerEngine, resnet50: ImageSpec, name: str
) -> None:
    wanted = cells.make(here, resnet50, name, b"harness")
    moved(push(here, name, resnet50))
    _replace_architecture(f"{name}/resnet50", wanted.exact.rpartition(":")[2], "riscv64")
    error = refusal(pull(there, name, resnet50))
    assert (
        str(error)
        == f"{wanted.exact} is for linux/riscv64, and this engine is {there.registries(lambda _: None).platform}."
    )
    assert images.find(there, wanted.exact) is None


def _replace_architecture(name: str, tag: str, architecture: str) -> None:
    """Put a manifest under *tag* whose configuration names another architecture."""
    host, _, path = name.partition("/")
    base = f"http://{host}/v2/{path}"
    found = manifest(name, tag).json()
    config = requests.get(f"{base}/blobs/{found['config']['digest']}", timeout=10).json()
    blob = json.dumps({**config, "architecture": architecture}).encode()
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    begun = requests.post(f"{base}/blobs/uploads/", timeout=10)
    put = requests.put(begun.headers["Location"], params={"digest": digest}, data=blob, timeout=10)
    assert put.status_code == 201, put.text
    found["config"] |= {"digest": digest, "size": len(blob)}
    body = json.dumps(found).encode()
    done = requests.put(f"{base}/manifests/{tag}", data=body, headers={"Content-Type": MANIFEST}, timeout=10)
    assert done.status_code == 201, done.text
