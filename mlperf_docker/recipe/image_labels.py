"""Labels and tags of an image. Pure: no disk, no clock."""

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.names import LABEL
from mlperf_docker.recipe.build_inputs import BuildInputs, lock_digest, versions
from mlperf_docker.recipe.layout import LAYOUT
from mlperf_docker.recipe.origin import Origin


def labels(spec: ImageSpec, inputs: BuildInputs, content: str, origin: Origin) -> dict[str, str]:
    """Return the OCI annotations and our own labels of an image. No time stamp: equal inputs give equal labels."""
    return {LABEL: "image", **_own_labels(spec, inputs, content, origin), **_oci_labels(spec, content, origin)}


def of_reference(labels: dict[str, str], name: str, commit: str) -> dict[str, str]:
    """Return the *labels* of a cell's image as the one on it with the reference of *commit* has them. name: its own."""
    own = {f"{LABEL}.cell": name, f"{LABEL}.reference": commit, "org.opencontainers.image.title": name}
    return {**labels, **own}


def _own_labels(spec: ImageSpec, inputs: BuildInputs, content: str, origin: Origin) -> dict[str, str]:
    """Return the labels under our own name: the cell, its versions and its base."""
    pins = versions(inputs)
    facts = {
        "cell": str(spec),
        "model": spec.model.name,
        "backend": spec.backend,
        "device": spec.device.value,
        "precisions": ",".join(spec.precisions),
        "hash": content,
        "lock": lock_digest(inputs),
        "sbom": LAYOUT.sbom,
        "base": origin.base_reference,
        "base.origin": origin.base_origin,
        "base.identity": origin.base_identity,
        "versions.loadgen": pins.get("mlcommons-loadgen", ""),
        "versions.numpy": pins.get("numpy", ""),
        "versions.backend": pins.get(spec.distribution, ""),
    }
    return {f"{LABEL}.{key}": value for key, value in facts.items()}


def _oci_labels(spec: ImageSpec, content: str, origin: Origin) -> dict[str, str]:
    """Return the annotations of the OCI image specification that we know without a clock."""
    facts = {
        "title": str(spec),
        "description": f"MLPerf Inference {spec.model.title} on {spec.backend} ({spec.device})",
        "version": f"{origin.version}-{content}",
        "revision": origin.revision,
        "licenses": "Apache-2.0",
        "base.name": origin.base_reference,
        "base.digest": origin.base_identity,
    }
    return {f"org.opencontainers.image.{key}": value for key, value in facts.items()}
