"""Text of a new campaign.yaml, with comments for who edits it."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mlperf_docker.campaigns import options as campaign_options
from mlperf_docker.campaigns.entries import DEFAULT_RESULTS, parts_of
from mlperf_docker.campaigns.frame import Frame
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.words import Scenario
from mlperf_docker.errors import UsageError
from mlperf_docker.names import HarnessName
from mlperf_docker.recipe.reference_layer import reference_of
from mlperf_docker.reference import checkout
from mlperf_docker.rounds import loading as rounds
from mlperf_docker.rounds.loading import NotInRoundError
from mlperf_docker.rounds.round import RoundBenchmark
from mlperf_docker.system import atomic, paths

_SUBMITTER = "MyOrganisation"
_WIDTH = 110
_CHECKOUT = "Checkout of mlcommons/inference, for cells with `harness: reference`."


@dataclass(frozen=True)
class NewCampaign:
    """Campaign to be written."""

    frame: Frame
    specs: Sequence[ImageSpec]
    submitter: str | None = None
    system: Path | None = None
    """File of the system's description."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of all runs, by their names in campaign.yaml."""
    harness: HarnessName = HarnessName.OWN
    reference: Path | None = None
    """Checkout of the reference implementations; None for the one that the environment names."""


def write(new: NewCampaign, path: Path, *, force: bool) -> Path:
    """Write *new* to *path*. Raises UsageError for what it cannot be, or where a file is there and not to be lost."""
    path = paths.resolved(path)
    if path.exists() and not force:
        raise UsageError(f"{path} is there already.", hint="Replace it with --force, or name another with --to FILE.")
    _check(new)
    atomic.write_text(path, text(new, path.parent))
    return path


def _check(new: NewCampaign) -> None:
    """Raise UsageError with every model that is not taken, and every option that cannot be."""
    problems = [f"{name}: {message}" for name, message in campaign_options.given(new.options, None)[1]]
    for spec in new.specs:
        of_model = new.frame.round.benchmarks_of(spec.model.name)
        if not of_model:
            problems.append(str(NotInRoundError(rounds.load(), new.frame.round, spec.model.name)))
        elif not _benchmarks(new.frame, spec):
            problems.append(f"{new.frame.not_taken(spec.model.name, of_model)}.")
        if new.harness is HarnessName.REFERENCE:
            problems += _without_reference(spec)
    if new.reference is not None and not new.reference.is_dir():
        problems.append(f"There is no folder {new.reference}.")
    if problems:
        raise UsageError("\n".join(problems))


def _without_reference(spec: ImageSpec) -> list[str]:
    """Why the reference implementation cannot run in the cell."""
    try:
        reference_of(spec)
    except UsageError as error:
        return [str(error)]
    return []


def text(new: NewCampaign, folder: Path) -> str:
    """Return the file, which is to be in *folder*."""
    return "\n".join((*_head(new, folder), *(line for spec in new.specs for line in _cell(new, spec)), ""))


def _head(new: NewCampaign, folder: Path) -> Iterator[str]:
    frame, system = new.frame, new.system
    yield "# Campaign: the runs that an entry into a round of MLPerf Inference needs, and their settings."
    yield "# `mlperf-docker campaign plan` shows the runs, `mlperf-docker campaign run` does what is missing of them."
    yield "# Paths are seen from this file's folder. A finished run counts until something changes that it measured."
    yield ""
    yield f"round: {frame.round.name}"
    yield f"division: {frame.division.value}  # closed or open"
    yield f"suite: {_one(frame.suite.value)}  # edge or datacenter"
    note = "" if new.submitter else "  # Your organisation, as submission trees name it."
    yield f"submitter: {_one(new.submitter or _SUBMITTER)}{note}"
    if system is None:
        yield "# system: system.yaml  # The system's description: mlperf-docker system init --to system.yaml"
    else:
        yield f"system: {_seen_from(folder, system)}"
    yield f"results: {DEFAULT_RESULTS}  # Folder of the runs."
    yield "# slurm: {partition: NAME, time: 2:00:00}  # Options of sbatch, for `campaign run --on slurm`."
    yield "# bundle: DIR  # Hosts without an image take it from this folder of `mlperf-docker bundle write`."
    yield "# runtime: podman  # What runs the containers where it is no Docker engine."
    if new.reference is not None:
        yield f"reference: {_seen_from(folder, new.reference)}  # {_CHECKOUT}"
    elif new.harness is HarnessName.REFERENCE:
        yield f"# reference: DIR  # {_CHECKOUT} Default: {checkout.VARIABLE}."
    yield ""
    known = f"Options of all runs: {', '.join(campaign_options.known(None))}."
    yield from (f"# {line}" for line in textwrap.wrap(known, _WIDTH))
    yield from _mapping("options", new.options, "")
    yield ""
    yield "cells:"


def _cell(new: NewCampaign, spec: ImageSpec) -> Iterator[str]:
    frame, model = new.frame, spec.model
    benchmarks = _benchmarks(frame, spec)
    required = {each for benchmark in benchmarks for each in frame.required(benchmark)}
    scenarios = [each.value for each in Scenario if each in required]
    tests = sorted({test.value for each in benchmarks for test in each.tests})
    names = ", ".join(each.name for each in benchmarks)
    yield f"  # {model.title}: {names}. Compliance tests: {', '.join(tests) or 'none'}."
    yield f"  - model: {model.name}"
    yield f"    backend: {spec.backend}"
    yield f"    device: {spec.device.value}"
    yield f"    precision: {spec.precisions[0].value}{_others(spec.precisions[1:])}"
    if new.harness is HarnessName.REFERENCE:
        yield f"    harness: {new.harness.value}  # Its own code runs, out of the checkout; own for ours."
    yield f"    # dataset: DIR  # Default: where `mlperf-docker data fetch {model.dataset.name}` puts it."
    yield "    # model_file: FILE  # Default: the official one."
    yield "    # user_conf: FILE  # Settings of LoadGen's for which there is no option."
    if new.harness is HarnessName.OWN:
        yield "    # profile: NAME  # A profile of `mlperf-docker tune`, or a list: one for each scenario."
    yield f"    scenarios: required  # Or a list. Required are [{', '.join(scenarios)}]."
    yield f"    modes: [{', '.join(parts_of(new.harness))}]"
    yield "    options: {}  # As above, for this cell."
    yield "    scenario_options: {}"
    yield from (f"      # {each}: {{{_EXAMPLES[Scenario(each)]}}}" for each in scenarios if Scenario(each) in _EXAMPLES)


_EXAMPLES = {
    Scenario.SERVER: "target_qps: 100",
    Scenario.OFFLINE: "target_qps: 100",
}
"""Options that runs of a scenario may need."""


def _benchmarks(frame: Frame, spec: ImageSpec) -> tuple[RoundBenchmark, ...]:
    return tuple(each for each in frame.round.benchmarks_of(spec.model.name) if frame.takes(each))


def _others(precisions: Iterable[str]) -> str:
    others = ", ".join(str(each) for each in precisions)
    return f"  # or {others}" if others else ""


def _seen_from(folder: Path, path: Path) -> str:
    """Return *path* as a reader of a file in *folder* writes it."""
    path = paths.resolved(path)
    return _one(str(path.relative_to(folder) if path.is_relative_to(folder) else path))


def _mapping(key: str, values: Mapping[str, Any], indent: str) -> Iterator[str]:
    if not values:
        yield f"{indent}{key}: {{}}"
        return
    yield f"{indent}{key}:"
    yield from (f"{indent}  {name}: {_one(value)}" for name, value in values.items())


def _one(value: object) -> str:
    """Return *value* as one line of YAML."""
    plain = str(value.value) if hasattr(value, "value") else value
    return (
        str(yaml.safe_dump(plain, width=10_000, allow_unicode=True, default_flow_style=True))
        .removesuffix("...\n")
        .strip()
    )
