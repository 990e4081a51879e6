"""Request of a run as its result keeps it: enough to repeat it, and to tell whether it is what a plan wants."""

import hashlib
from collections.abc import Iterator
from typing import Any

from mlperf_docker.contract.model_options import ModelOptions
from mlperf_docker.contract.options import RunOptions, declared
from mlperf_docker.display.progress import BYTES, Display
from mlperf_docker.inputs.datasets import identity
from mlperf_docker.reference_contract.commands import HARNESS
from mlperf_docker.results.values import DatasetUsed, RequestOnRecord
from mlperf_docker.runs.profile import limits_given
from mlperf_docker.runs.request import RunRequest


def on_record(request: RunRequest, display: Display) -> RequestOnRecord:
    """Return what *request* asks for. The files of its data set are read, those that are known already not again.

    Raises DatasetError where one cannot be read.
    """
    return RequestOnRecord(
        command=command(request),
        source=request.recipe.source,
        options=options_given(request.options),
        dataset=_dataset(request, display),
        model_file=str(request.model_file) if request.model_file else None,
        user_conf=user_conf_digest(request),
        limits=limits_given(request.limits),
        profile=request.profile.reference() if request.profile else None,
    )


def options_given(options: RunOptions) -> dict[str, Any]:
    """Return the values of *options* that are not left open, by name, and those of the model by their own names."""
    found = {each.name: getattr(options, each.name) for each in declared(RunOptions)}
    of_model = {**options.model_options.numbers, **options.model_options.words}
    return {name: value for name, value in {**found, **of_model}.items() if value is not None}


def user_conf_digest(request: RunRequest) -> str | None:
    """Return the digest of the request's user.conf, `sha256:…`, or None if it has none."""
    if request.user_conf is None:
        return None
    return f"sha256:{hashlib.sha256(request.user_conf.read_bytes()).hexdigest()}"


def command(request: RunRequest) -> tuple[str, ...]:
    """Return the words of an equal `mlperf-docker run`; options that only the harness has are not among them."""
    return ("mlperf-docker", "run", *request.spec.words.split(), *_options(request), *_inputs(request))


def _options(request: RunRequest) -> Iterator[str]:
    given = request.options
    for each in declared(RunOptions):
        value = getattr(given, each.name)
        if each.only_harness or (value == each.default and each.name not in ("precision", "scenario", "mode")):
            continue
        yield from [each.flag] if value is True else each.words(value)
    yield from _model_options(given.model_options)


def _model_options(options: ModelOptions) -> Iterator[str]:
    yield from options.arguments()


def _inputs(request: RunRequest) -> Iterator[str]:
    named = {
        "dataset": request.dataset,
        "model-file": request.model_file,
        "user-conf": request.user_conf,
        "round": request.round.name if request.round else None,
        "performance-run": request.performance_run,
        "accuracy-run": request.accuracy_run,
        "results": request.results_root,
        "harness": None if request.checkout is None else HARNESS,
        "reference": None if request.checkout is None else request.checkout.folder,
        "model-code": request.checkout.code.folder if request.checkout and request.checkout.code else None,
        **limits_given(request.limits),
    }
    yield from (f"--{name}={value}" for name, value in named.items() if value is not None)


def _dataset(request: RunRequest, display: Display) -> DatasetUsed | None:
    """Return the data set that is run on, None for synthetic data."""
    if request.dataset is None:
        return None
    dataset = request.spec.model.dataset
    display.phase(f"identify {dataset.title}")
    found = identity.identify(request.dataset, lambda done, total: display.progress(done, total, BYTES))
    return DatasetUsed(name=dataset.name, folder=str(request.dataset), identity=found)
