"""A cell's image that is small and real enough for everything but running it: its tag and its labels are the true ones.

Its one file stands for what is in an image; what several of them are given as *shared* is one layer of all.
"""

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.images.building.builder import BuildRequest
from mlperf_docker.images.building.builders import builder_of
from mlperf_docker.recipe import build_inputs, image_labels, render
from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile
from mlperf_docker.recipe.host_settings import HostSettings
from mlperf_docker.recipe.origin import Origin
from tests.engine import tiny_image
from tests.engine.docker_client import api

_BASE = "mlperf-test-tiny"
_IDENTITY = f"sha256:{'b' * 64}"  # of a base that is on no engine: only the labels tell it
_DOCKERFILE = "ARG BASE\nFROM ${BASE}\nCOPY shared /shared\nCOPY own /own\n"


def make(client: DockerEngine, spec: ImageSpec, registry: str, *, shared: bytes = b"", own: bytes = b"") -> str:
    """Build the image of *spec* under *registry*, and return its exact tag."""
    inputs = render.build_inputs(spec)
    content = build_inputs.content_hash(inputs, _IDENTITY)
    exact = image_labels.tags(spec, content, registry)[0]
    origin = Origin("mlperf-docker/base:bookworm", _IDENTITY, "bootstrapped", "unknown", "0")
    if client.find_image(f"{_BASE}:1") is None:
        api(client).import_image_from_data(tiny_image.archive(), repository=_BASE, tag="1")
    request = BuildRequest(
        BuildInputs(_DOCKERFILE, (ContextFile("shared", shared), ContextFile("own", own or str(spec).encode()))),
        f"{_BASE}:1",
        (exact,),
        image_labels.labels(spec, inputs, content, origin),
        HostSettings(),
    )
    builder_of(client).build(request, on_event=lambda _: None)
    return exact
