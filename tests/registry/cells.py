"""Small images that are named and labelled as a cell's, so that push and pull take them for it."""

from mlperf_docker import names
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.images.bases import Base
from mlperf_docker.images.building.builder import BuildRequest
from mlperf_docker.images.building.buildkit import BuildKitBuilder
from mlperf_docker.images.candidate import Candidate, candidate
from mlperf_docker.recipe import image_labels
from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile
from mlperf_docker.recipe.host_settings import HostSettings
from mlperf_docker.recipe.origin import Origin
from mlperf_docker.recipe.render import build_inputs
from tests.engine.conftest import MARK, TEST_LABEL

FOUNDATION = f"{MARK}/foundation:1"  # what they stand on, whatever their labels say


def make(
    engine: DockerEngine,
    spec: ImageSpec,
    registry: str,
    *layers: bytes,
    base: Base | None = None,
    labels: dict[str, str] | None = None,
    revision: str = "unknown",
) -> Candidate:
    """Build an image of *layers* under the two tags of *spec* in *registry*, and return what it should be taken for.

    base: the one that its labels name, by default the pinned one. labels: beside the true ones, or instead of them;
    revision: the source commit that they name.
    """
    inputs = build_inputs(spec)
    base = base or Base(spec.base.pinned, spec.base.digest, "local")
    wanted = candidate(spec, inputs, base, registry)
    files = tuple(ContextFile(f"layer{n}", data) for n, data in enumerate(layers))
    steps = "".join(f"COPY {file.path} /{file.path}\n" for file in files)
    origin = Origin(base.reference, base.identity, base.origin, revision, "0")
    own = {f"{names.LABEL}.{key}": value for key, value in (labels or {}).items()}
    request = BuildRequest(
        inputs=BuildInputs(f"ARG BASE\nFROM ${{BASE}}\n{steps}", files),
        base_reference=FOUNDATION,
        tags=(wanted.exact, wanted.moving),
        labels={**image_labels.labels(spec, inputs, wanted.content, origin), TEST_LABEL: MARK, **own},
        host=HostSettings(),
    )
    BuildKitBuilder(engine).build(request, on_event=lambda _: None)
    return wanted
