"""Comparison of a result with the run that a campaign wants: what differs, as far as it decides what is measured."""

from collections.abc import Iterator, Mapping
from typing import Any

from mlperf_docker.campaigns.inputs import CellInputs
from mlperf_docker.campaigns.requests import WantedRun
from mlperf_docker.contract.options import RunOptions, declared
from mlperf_docker.contract.words import Mode
from mlperf_docker.results.values import RequestOnRecord, RunResult
from mlperf_docker.runs.on_record import options_given, user_conf_digest
from mlperf_docker.runs.profile import limits_given

_DIGITS = 12

NO_MATTER = {"workers"}
"""Options that change how long the preparation takes, and nothing that is measured."""
ONLY_SPEED = {
    "min_duration_s",
    "target_qps",
    "target_latency_ms",
    "min_query_count",
    "trace",
}
"""Options that an accuracy run, which answers each sample once, has no use for."""
_LIMITS_OF_SPEED = {"cpus", "cpuset", "gpus"}
"""Limits that change what is measured. One of memory does not: a run has enough, or dies."""


def is_of(result: RunResult, run: WantedRun) -> bool:
    """Tell whether *result* is of this cell, harness, scenario and kind, whatever its settings."""
    options = run.request.options
    kind = result.compliance.test if result.compliance else result.mode
    return (result.cell, result.harness_name, result.precision, result.scenario, kind) == (
        str(run.request.spec),
        run.request.harness_name,
        options.precision,
        options.scenario,
        run.kind,
    )


def differences(result: RunResult, run: WantedRun, inputs: CellInputs, held_to: Mapping[Mode, str]) -> tuple[str, ...]:
    """Return in words what of *result* is not as *run* wants it; nothing if it is its result.

    held_to: names of the results that a compliance run has to be compared with, by their mode.
    """
    request = result.request
    if request is None:
        return ("it is of a version that kept no record of its request",)
    return (
        *_image(result, request, inputs),
        *_digest(result, run),
        *_checkout(result, inputs),
        *_data(request, inputs),
        *_model_file(result, inputs),
        *_settings(request, run),
        *_references(result, held_to),
    )


def _image(result: RunResult, request: RequestOnRecord, inputs: CellInputs) -> Iterator[str]:
    if request.source != inputs.source:
        yield f"the image's source is {_brief(inputs.source)} now, and was {_brief(request.source)}"
    elif inputs.image is not None and result.image is not None and not result.image.tag.endswith(f"-{inputs.image}"):
        yield f"the image is {inputs.image} now, and was {result.image.tag.rpartition('-')[2]}, on another base"


def _digest(result: RunResult, run: WantedRun) -> Iterator[str]:
    pinned, was = run.cell.image, result.image.digest if result.image else None
    if pinned and was != pinned.digest:
        yield f"the image is {_brief(pinned.digest)} now, and was {_brief(was)} in the registry"


def _checkout(result: RunResult, inputs: CellInputs) -> Iterator[str]:
    now, was = inputs.checkout, result.harness
    if now is None or was is None:
        return
    if now.commit != was.commit:
        yield f"the reference's commit is {_brief(now.commit)} now, and was {_brief(was.commit)}"
    if now.content != was.content:
        yield f"the reference's local changes are {_brief(now.content)} now, and were {_brief(was.content)}"


def _data(request: RequestOnRecord, inputs: CellInputs) -> Iterator[str]:
    was = request.dataset.identity if request.dataset else None
    if was != inputs.data_identity:
        yield f"the data set is {_brief(inputs.data_identity)} now, and was {_brief(was)}"


def _model_file(result: RunResult, inputs: CellInputs) -> Iterator[str]:
    if inputs.model_file is None:
        return
    was = result.model_file or {}
    parts = was.get("files") or {was.get("name", inputs.model_file.name): was.get("sha256")}
    for name, digest in parts.items():
        there = (inputs.model_file.parent / name).is_file()
        now = inputs.checksum(name) if there and inputs.model_file.name in parts else None
        if now != digest:
            yield f"the model file is {inputs.model_file.name} {_brief(now)} now, and was {name} {_brief(digest)}"


def _settings(request: RequestOnRecord, run: WantedRun) -> Iterator[str]:
    mode = run.request.options.mode
    was, now = _that_matter(request.options, mode), _that_matter(options_given(run.options), mode)
    yield from _unequal("", was, now)
    limits = {name: value for name, value in limits_given(run.request.limits).items() if name in _LIMITS_OF_SPEED}
    had = {name: value for name, value in request.limits.items() if name in _LIMITS_OF_SPEED}
    if mode is Mode.PERFORMANCE:
        yield from _unequal("--", had, limits)
    if (digest := user_conf_digest(run.request)) != request.user_conf:
        yield f"user.conf is {_brief(digest)} now, and was {_brief(request.user_conf)}"


def _that_matter(options: Mapping[str, Any], mode: Mode) -> dict[str, Any]:
    """Return those of *options* that decide what is measured, and are not what they are without."""
    left_out = NO_MATTER | (ONLY_SPEED if mode is Mode.ACCURACY else set())
    defaults = {each.name: each.default for each in declared(RunOptions)}
    return {name: value for name, value in options.items() if name not in left_out and value != defaults.get(name)}


def _unequal(mark: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*now, *was)):
        if was.get(name) != now.get(name):
            yield f"{mark}{name} is {_told(now.get(name))} now, and was {_told(was.get(name))}"


def _references(result: RunResult, held_to: Mapping[Mode, str]) -> Iterator[str]:
    if result.compliance is None:
        return
    had = {Mode.PERFORMANCE: result.compliance.performance_run, Mode.ACCURACY: result.compliance.accuracy_run}
    for mode, name in held_to.items():
        if had[mode] != name:
            yield f"the {mode} run that it is held to is {name} now, and was {had[mode]}"


def _told(value: object) -> str:
    return "not given" if value is None else str(value)


def _brief(digest: str | None) -> str:
    """Return the beginning of a digest, which is enough for people."""
    return "none" if digest is None else digest.removeprefix("sha256:")[:_DIGITS]
