"""Local, pulled or built: the decision, and what is said of it."""

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import BaseImageError, RegistryError
from mlperf_docker.images.lookup import candidates, likely_image
from mlperf_docker.images.provide import provide
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import PullPolicy
from mlperf_docker.recipe import origin
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.results.values import ImageUsed
from tests.fakes.engine import FakeBuilder, FakeDisplay, FakeEngine, image_id, manifest_digest

BOOTSTRAPPED = "mlperf-docker/base:bookworm"
HOSTED = "registry.test/team"
BARE = "mlperf-docker"


class Case:
    """Call of provide, with all that came of it."""

    def __init__(self, spec: ImageSpec, engine: FakeEngine, sources: Sources) -> None:
        self.recipe, self.engine, self.sources = recipe_of(spec), engine, sources
        self.builder, self.display = FakeBuilder(engine), FakeDisplay()

    def __call__(self) -> ImageUsed:
        return provide(self.engine, self.builder, self.recipe, self.sources, self.display)

    @property
    def did(self) -> tuple[int, int]:
        """How many images were pulled, and how many built."""
        return sum(HOSTED in name for name in self.engine.pulls), len(self.builder.requests)


def tag(spec: ImageSpec, sources: Sources) -> str:
    return candidates(FakeEngine(), recipe_of(spec).identity, sources)[0].exact


@pytest.mark.parametrize("pull", [PullPolicy.MISSING, PullPolicy.NEVER])
def test_a_local_image_of_the_exact_hash_is_taken(resnet50: ImageSpec, pull: PullPolicy) -> None:
    sources = Sources(HOSTED, pull=pull)
    exact = tag(resnet50, sources)
    case = Case(resnet50, FakeEngine(exact, offered=(exact,)), sources)
    assert case() == ImageUsed(tag=exact, id=image_id(exact), base=f"{resnet50.base.pinned} (local)")
    assert case.did == (0, 0)
    assert case.engine.registry.asked == []
    assert case.display.said == [f"Image {exact}: present."]


def test_an_image_of_another_hash_is_not(resnet50: ImageSpec) -> None:
    sources = Sources(BARE)
    stale = f"{tag(resnet50, sources)[:-12]}{'0' * 12}"
    case = Case(resnet50, FakeEngine(stale, resnet50.base.pinned), sources)
    assert case().tag != stale
    assert case.did == (0, 1)


def test_an_image_on_the_bootstrapped_base_is_found_too(resnet50: ImageSpec) -> None:
    sources = Sources(BARE)
    engine = FakeEngine(BOOTSTRAPPED)
    exact = candidates(engine, recipe_of(resnet50).identity, sources)[1].exact
    engine.present.update(FakeEngine(exact).present)
    case = Case(resnet50, engine, sources)
    assert case().base == f"{BOOTSTRAPPED} (bootstrapped)"
    assert likely_image(engine, recipe_of(resnet50).identity, sources) == (exact, True)
    assert case.did == (0, 0)


def test_an_image_whose_base_is_not_here_is_found_by_its_labels(resnet50: ImageSpec) -> None:
    """It came from another host, where its base had been bootstrapped."""
    sources = Sources(BARE)
    at_home = FakeEngine(BOOTSTRAPPED)
    exact = candidates(at_home, recipe_of(resnet50).identity, sources)[1].exact
    engine = FakeEngine(exact)
    labels = {"cell": str(resnet50), "base": BOOTSTRAPPED, "base.origin": "bootstrapped"}
    identity = image_id(BOOTSTRAPPED)
    engine.present[exact]["Config"]["Labels"] = {
        "org.mlperf-docker": "image",
        "org.mlperf-docker.base.identity": identity,
        **{f"org.mlperf-docker.{key}": value for key, value in labels.items()},
    }
    case = Case(resnet50, engine, sources)
    assert case() == ImageUsed(tag=exact, id=image_id(exact), base=f"{BOOTSTRAPPED} (bootstrapped)")
    assert case.did == (0, 0)
    engine.present[exact]["Config"]["Labels"]["org.mlperf-docker.base.identity"] = image_id("another")
    assert likely_image(engine, recipe_of(resnet50).identity, sources)[1] is False, "the hash is over the base too"


def test_a_missing_one_is_pulled(resnet50: ImageSpec) -> None:
    sources = Sources(HOSTED, pull=PullPolicy.MISSING)
    exact = tag(resnet50, sources)
    case = Case(resnet50, FakeEngine(offered=(exact,)), sources)
    base = f"{resnet50.base.pinned} (local)"
    assert case() == ImageUsed(tag=exact, id=image_id(exact), base=base, digest=manifest_digest(exact))
    assert case.did == (1, 0)
    assert case.display.said == [f"Image {exact}: pulled."]
    assert case.engine.find_image(f"{HOSTED}/resnet50:onnxruntime-cpu") == case.engine.find_image(exact)


def test_an_image_that_the_registry_lacks_is_built_and_the_reason_said(resnet50: ImageSpec) -> None:
    sources = Sources(HOSTED, pull=PullPolicy.MISSING)
    exact = tag(resnet50, sources)
    other = f"{HOSTED}/resnet50:onnxruntime-cpu-000000000000"
    case = Case(resnet50, FakeEngine(resnet50.base.pinned, offered=(other,)), sources)
    assert case().tag == exact
    assert case.did == (0, 1)
    assert case.display.said[0] == (
        f"Image {exact}: not pulled ({exact} is not in the registry. It has: onnxruntime-cpu-000000000000.);"
        " building it."
    )
    assert case.display.said[-1] == f"Image {exact}: built on {resnet50.base.pinned} (local)."


def test_never_asks_no_registry_for_it(resnet50: ImageSpec) -> None:
    sources = Sources(HOSTED, pull=PullPolicy.NEVER)
    case = Case(resnet50, FakeEngine(resnet50.base.pinned, offered=(tag(resnet50, sources),)), sources)
    case()
    assert case.did == (0, 1)
    assert case.engine.registry.asked == []


def test_always_takes_the_registrys_even_over_a_local_one(resnet50: ImageSpec) -> None:
    sources = Sources(HOSTED, pull=PullPolicy.ALWAYS)
    exact = tag(resnet50, sources)
    case = Case(resnet50, FakeEngine(exact, offered=(exact,)), sources)
    case()
    assert case.did == (1, 0)


def test_always_fails_rather_than_building(resnet50: ImageSpec) -> None:
    case = Case(resnet50, FakeEngine(resnet50.base.pinned, refusal="denied"), Sources(HOSTED, pull=PullPolicy.ALWAYS))
    with pytest.raises(RegistryError, match="denied") as caught:
        case()
    assert caught.value.exit_code is ExitCode.REGISTRY
    assert case.did == (0, 0)


def test_a_registry_without_a_host_is_never_asked(resnet50: ImageSpec) -> None:
    """A bare name would be a stranger's namespace on a public registry."""
    exact = tag(resnet50, Sources(BARE))
    case = Case(resnet50, FakeEngine(resnet50.base.pinned, offered=(exact,)), Sources(BARE, pull=PullPolicy.MISSING))
    case()
    assert case.engine.pulls == case.engine.registry.asked == []
    assert case.display.said == [f"Image {exact}: built on {resnet50.base.pinned} (local)."]
    with pytest.raises(RegistryError, match="names no host"):
        Case(resnet50, FakeEngine(offered=(exact,)), Sources(BARE, pull=PullPolicy.ALWAYS))()


@pytest.mark.parametrize(
    ("registry", "has_host"),
    [
        ("registry.test/team", True),
        ("localhost/x", True),
        ("host:5000", True),
        ("mlperf-docker", False),
        ("a/b.c", False),
    ],
)
def test_a_registry_is_asked_only_if_its_name_has_a_host(registry: str, has_host: bool) -> None:
    assert Sources(registry).has_registry is has_host


def test_a_rebuild_takes_nothing_that_is_there(resnet50: ImageSpec) -> None:
    sources = Sources(HOSTED, pull=PullPolicy.MISSING, rebuild=True)
    exact = tag(resnet50, sources)
    case = Case(resnet50, FakeEngine(exact, resnet50.base.pinned, offered=(exact,)), sources)
    case()
    assert case.did == (0, 1)
    assert case.builder.requests[0].no_cache


def test_a_build_gets_both_tags_its_labels_and_the_hosts_settings(
    resnet50: ImageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    case = Case(resnet50, FakeEngine(resnet50.base.pinned), Sources(BARE))
    exact = case().tag
    (request,) = case.builder.requests
    assert request.tags == (exact, f"{BARE}/resnet50:onnxruntime-cpu")
    assert request.base_reference == resnet50.base.pinned
    assert request.labels["org.mlperf-docker"] == "image"
    assert request.labels["org.mlperf-docker.base.identity"] == resnet50.base.digest
    assert request.labels["org.opencontainers.image.revision"] == origin.revision()
    assert ("http_proxy", "http://proxy.test:3128") in request.host.build_args
    assert not request.no_cache


def test_layers_are_taken_from_the_moving_tag_where_that_is_asked_for(resnet50: ImageSpec) -> None:
    for sources, cache in (
        (Sources(HOSTED), None),
        (Sources(HOSTED, cached=True), f"{HOSTED}/resnet50:onnxruntime-cpu"),
    ):
        case = Case(resnet50, FakeEngine(resnet50.base.pinned), sources)
        case()
        assert case.builder.requests[0].cache_from == cache


def test_two_bases_give_two_hashes(resnet50: ImageSpec) -> None:
    one, other = candidates(FakeEngine(BOOTSTRAPPED), recipe_of(resnet50).identity, Sources(BARE))
    assert one.exact != other.exact
    assert one.moving == other.moving


def test_a_base_by_its_tag_alone_is_taken_only_when_told(resnet50: ImageSpec) -> None:
    here = FakeEngine(resnet50.base.reference)
    with pytest.raises(BaseImageError, match=resnet50.base.digest):
        Case(resnet50, here, Sources(BARE))()
    case = Case(resnet50, here, Sources(BARE, unpinned=True))
    used = case()
    assert used.base == f"{resnet50.base.reference} (given)"
    assert case.builder.requests[0].base_reference == resnet50.base.reference
    again = Case(resnet50, here, Sources(BARE, base=resnet50.base.reference))
    assert (again().tag, again.did) == (used.tag, (0, 0)), "a run with --base finds it"
