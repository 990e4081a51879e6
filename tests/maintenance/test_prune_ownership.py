"""Ownership of images: ours, or only labelled by inheritance from one of ours, by each builder's history."""

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.maintenance.prune import current_in, is_made_by_us, is_our_name
from mlperf_docker.names import LABEL
from mlperf_docker.recipe.render import recipe_of

BUILDKIT = 'ENTRYPOINT ["/opt/venv/bin/python" "-m" "mlperf_docker.harness"]'
BUILDAH = '/bin/sh -c #(nop) ENTRYPOINT ["/opt/venv/bin/python", "-m", "mlperf_docker.harness"]'
LABELLED = f'/bin/sh -c #(nop) LABEL "{LABEL}"="image" "{LABEL}.cell"="bert:onnxruntime-cpu"'
IMAGE = {
    LABEL: "image",
    f"{LABEL}.cell": "3d-unet:onnxruntime-cpu",
}
OF_REFERENCE = {**IMAGE, f"{LABEL}.cell": "3d-unet:onnxruntime-cpu-reference"}


@pytest.mark.parametrize(
    ("steps", "ours"),
    [
        ([BUILDKIT, "USER 65532:65532"], True),
        ([BUILDAH, "USER 65532:65532"], True),
        ([LABELLED, BUILDAH], True),
        ([BUILDKIT.replace("harness", "reference_harness"), BUILDKIT], True),
        (["RUN echo mine", BUILDKIT], False),
        (["CMD []", LABELLED, BUILDAH], False),
        (["", BUILDKIT], False),
        ([], False),
    ],
    ids=[
        "BuildKit",
        "Buildah",
        "Buildah with labels",
        "of a reference",
        "a step more",
        "a setting more",
        "a commit",
        "nothing",
    ],
)
def test_an_image_is_ours_by_its_last_step(steps: list[str], ours: bool) -> None:
    assert is_made_by_us(IMAGE, [{"CreatedBy": step} for step in steps]) is ours


@pytest.mark.parametrize("steps", [1, 2])
def test_a_base_is_ours_if_it_was_imported_and_nothing_else(steps: int) -> None:
    assert is_made_by_us({LABEL: "base"}, [{"CreatedBy": ""}] * steps) is (steps == 1)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("mlperf-docker/3d-unet:onnxruntime-cpu", True),
        ("registry.test:5000/team/3d-unet:onnxruntime-cpu-0123456789ab", True),
        ("registry.test:5000/team/3d-unet:onnxruntime-cpu-0123456789ab-mine", False),
        ("team/3d-unet:mine", False),
        ("team/my-3d-unet:onnxruntime-cpu", False),
        ("team/bert:onnxruntime-cpu", False),
    ],
)
def test_a_name_is_ours_if_a_build_would_give_it(name: str, ours: bool) -> None:
    assert is_our_name(name, IMAGE) is ours


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("mlperf-docker/3d-unet:onnxruntime-cpu-reference", True),
        ("mlperf-docker/3d-unet:onnxruntime-cpu-reference-0123456789ab", True),
        ("mlperf-docker/3d-unet:onnxruntime-cpu-0123456789ab", False),
        ("mlperf-docker/3d-unet:onnxruntime-cpu-reference-mine", False),
    ],
)
def test_a_name_of_an_image_with_a_reference_is_ours_likewise(name: str, ours: bool) -> None:
    assert is_our_name(name, OF_REFERENCE) is ours


def test_an_image_is_current_if_todays_sources_give_its_hash_on_its_own_base(catalog: Catalog) -> None:
    spec, base, is_current = catalog.specs[0], f"sha256:{'b' * 64}", current_in(catalog)
    labels = {
        f"{LABEL}.cell": str(spec),
        f"{LABEL}.base.identity": base,
        f"{LABEL}.hash": recipe_of(spec).content(base),
    }
    assert is_current(labels)
    assert not is_current({**labels, f"{LABEL}.base.identity": f"sha256:{'c' * 64}"})
    assert not is_current({**labels, f"{LABEL}.cell": "no-such-model:onnxruntime-cpu"})
    assert not is_current({})
