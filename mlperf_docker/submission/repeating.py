"""Commands that repeat a run on another host, and its record, without what only this host has."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from mlperf_docker.contract.options import RunOptions, declared
from mlperf_docker.contract.words import Mode
from mlperf_docker.display import shell
from mlperf_docker.results.values import RunResult
from mlperf_docker.submission import implementation

DATASET, MODEL_FILE = "DATASET", "MODEL_FILE"
_MS_PER_S = 1000
_PLACES = {
    "--dataset": DATASET,
    "--model-file": MODEL_FILE,
    "--user-conf": "USER_CONF",
    "--reference": implementation.REFERENCE,
}
"""Options that name a place of this host → what stands for it."""
_LEFT_OUT = {"--results"}


def line(run: RunResult) -> str:
    """The `mlperf-docker run …` that *run* was made by; made of its settings where they alone are on record."""
    return shell.join(_words(run))


def script(runs: Iterable[RunResult]) -> str:
    """The commands of all *runs* as a program of the shell, a line each; variables stand for places of this host."""
    runs = tuple(runs)
    lines = [line(run) for run in runs]
    used = [place for place in _PLACES.values() if any(f"={place}" in each for each in lines)]
    checks = "".join(f': "${{{place}:?is not set}}"\n' for place in used)
    body = "".join(f"{_with_variables(each)}\n" for each in dict.fromkeys(lines))
    notes = "".join(f"# {note}\n" for note in implementation.notes(runs))
    return f"#!/bin/sh\nset -e\n{notes}{checks}{body}"


def _with_variables(text: str) -> str:
    return re.sub(rf"=({'|'.join(_PLACES.values())})(?= |$)", r'="$\1"', text)


def record(run: RunResult) -> dict[str, Any]:
    """The result as it is on record, without the folders of this host."""
    kept = {**run.model_dump(mode="json"), "results_dir": run.name}
    if run.request is not None:
        request = {**kept["request"], "command": [*_words(run)]}
        request["dataset"] = request["dataset"] and {**request["dataset"], "folder": DATASET}
        kept["request"] = {**request, "model_file": request["model_file"] and MODEL_FILE}
    return kept


def _words(run: RunResult) -> Iterator[str]:
    if run.request is None:
        yield from _of_settings(run)
        return
    for word in run.request.command:
        option = word.partition("=")[0]
        if option not in _LEFT_OUT:
            yield f"{option}={_PLACES[option]}" if option in _PLACES else word
    yield from _of_profile(run.request.profile or {})


def _of_profile(profile: dict[str, Any]) -> Iterator[str]:
    """Yield the options that a tuned profile stood for: another host does not have it."""
    tuned = profile.get("options", {})
    for each in declared(RunOptions):
        if each.name in tuned:
            yield from each.words(tuned[each.name])


def _of_settings(run: RunResult) -> Iterator[str]:
    """Yield the words of a result of an earlier version, which does not have its command."""
    cell = [run.model, "-b", run.backend, "-d", run.device]
    yield from ("mlperf-docker", "run", *cell, f"--precision={run.precision}", f"--scenario={run.scenario}")
    yield f"--mode={run.mode}"
    if run.synthetic_size is not None:
        yield f"--synthetic={run.synthetic_size}"
    if run.compliance is not None:
        yield f"--compliance={run.compliance.test}"
    if run.mode is Mode.PERFORMANCE and "min_duration_ms" in run.settings:
        yield f"--min-duration={run.settings['min_duration_ms'] / _MS_PER_S:g}"
    if "batch_size" in run.settings:
        yield f"--batch-size={run.settings['batch_size']}"
