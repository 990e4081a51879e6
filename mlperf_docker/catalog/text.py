"""Text of a cell of the catalog for people."""

from collections.abc import Iterable

from mlperf_docker.catalog.spec import ImageSpec, ScoreTarget
from mlperf_docker.contract.scores import bound_text
from mlperf_docker.display.tables import fact_lines


def spec_text(spec: ImageSpec) -> str:
    """A cell in full: what it measures, on what, and which official files it takes."""
    return fact_lines(_spec_facts(spec), 13)


def _spec_facts(spec: ImageSpec) -> Iterable[tuple[str, str]]:
    model = spec.model
    yield "Cell", str(spec)
    yield "Benchmark", f"{model.title} ({model.loadgen_key} in mlperf.conf)"
    yield "Precisions", ", ".join(spec.precisions)
    yield "Scenarios", ", ".join(model.scenarios)
    for score in model.accuracy:
        yield "Accuracy", _score_text(score)
    yield "Data set", f"{model.dataset.title}: {model.dataset.count} samples, {model.dataset.marker} in its folder"
    for file in model.files:
        if file.backend == spec.backend:
            yield "Model file", f"{file.name} ({file.precision}, {file.format}) {file.urls[0]}"
    recorded = spec.base.recorded
    yield "Base", f"{spec.base.pinned} ({f'recorded {recorded}' if recorded else 'not confirmed by a registry yet'})"
    yield "Dockerfile", f"dockerfiles/{spec.dockerfile}"


def _score_text(score: ScoreTarget) -> str:
    high = "" if score.high_target is None else f", high target {bound_text(score.sense, score.high_target)}"
    target = bound_text(score.sense, score.target)
    return f"{score.metric} {score.reference} {score.unit}, target {target}{high}"
