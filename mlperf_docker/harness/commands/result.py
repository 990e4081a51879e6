"""Result of a run: verdict, reasons, and the reply that holds them."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlperf_docker.contract.detail_log import DetailLog
from mlperf_docker.contract.result import Compliance, Figure, Latencies, RunReply
from mlperf_docker.contract.scores import Sense, bound_text
from mlperf_docker.contract.words import Mode
from mlperf_docker.harness.api.backend import Backend
from mlperf_docker.harness.api.errors import first_ten
from mlperf_docker.harness.api.scores import Accuracy, JudgedScore
from mlperf_docker.harness.commands.options import LoadgenRun
from mlperf_docker.harness.loadgen import logs, running
from mlperf_docker.harness.weights.model_files import UsedModelFile

MISSED = {
    Sense.AT_LEAST: "is below",
    Sense.AT_MOST: "is above",
    Sense.BETWEEN: "is not within",
    Sense.EXACTLY: "is not",
}
"""How a value that misses its target stands to it."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Findings of a run, before they become its result."""

    log: DetailLog
    by_instance: tuple[int, ...]
    """Samples that each instance answered."""
    dataset_count: int
    accuracy: Accuracy | None
    proof: Mapping[str, Any]
    settings: Mapping[str, Any]
    model_file: UsedModelFile | None
    variant: str
    compliance: Compliance | None = None
    """Verdict of a compliance run."""
    not_finite: str | None = None
    """The first output that was no number, in words."""

    @property
    def samples(self) -> int:
        """Samples that were answered."""
        return sum(self.by_instance)


def versions(backend: Backend) -> dict[str, str]:
    """Versions of what took part."""
    import numpy as np

    shared = {"python": platform.python_version(), "loadgen": running.version(), "numpy": np.__version__}
    return {**shared, **backend.versions()}


def is_valid(options: LoadgenRun, findings: Findings) -> bool:
    """Performance: LoadGen's verdict, and that of the compliance test, if it is one.

    Accuracy, on which LoadGen gives no verdict: no error, and the target met.

    Neither counts where samples or instances are missing, or outputs are no numbers: LoadGen may know nothing of that.
    """
    if findings.not_finite or missing(options, findings):
        return False
    if options.mode is Mode.PERFORMANCE:
        return logs.valid(findings.log) and (findings.compliance is None or findings.compliance.passed)
    passed = findings.accuracy is not None and findings.accuracy.passed
    return passed and not findings.log.errors


def missing(options: LoadgenRun, findings: Findings) -> list[str]:
    """What was left undone: samples without an answer, and instances that answered none."""
    log, performance = findings.log, options.mode is Mode.PERFORMANCE
    queried = log.number("result_query_count") * log.number("effective_samples_per_query")
    issued = round(queried) if performance else findings.dataset_count
    found = []
    if findings.samples < issued:
        found.append(f"only {findings.samples} of {issued} samples were answered")
    count = len(findings.by_instance)
    idle = [str(number) for number, answered in enumerate(findings.by_instance, start=1) if not answered]
    if idle:
        advice = "set fewer --instances, or more samples (--min-duration, --target-qps)"
        found.append(f"of {count} instances, number {', '.join(first_ten(idle))} answered no sample: {advice}")
    return found


def reasons(options: LoadgenRun, findings: Findings) -> list[str]:
    """Why the run is not valid, each with advice."""
    broken = f"{findings.not_finite}: such weights, or such a precision, give no answers" if findings.not_finite else ""
    found = [broken] if broken else missing(options, findings)
    found += [f"LoadGen reported an error: {error}" for error in findings.log.errors]
    found += findings.compliance.reasons if findings.compliance else ()
    found += [_missed(score) for score in findings.accuracy.failed] if findings.accuracy else []
    return found + logs.reasons(findings.log, options.scenario) if options.mode is Mode.PERFORMANCE else found


def compose(options: LoadgenRun, backend: Backend, findings: Findings) -> RunReply:
    """The result, as it is printed and as result.json holds it."""
    cell, log = options.cell, findings.log
    figure, latencies = logs.metric(log, options.scenario), logs.latency_ns(log, options.scenario)
    performance = options.mode is Mode.PERFORMANCE
    return RunReply(
        model=cell.model,
        backend=cell.backend,
        device=cell.device.value,
        precision=options.precision,
        scenario=options.scenario,
        mode=options.mode,
        synthetic=options.synthetic is not None,
        synthetic_size=options.synthetic,
        valid=is_valid(options, findings),
        reasons=tuple(reasons(options, findings)),
        metric=Figure(**figure) if performance and figure else None,
        latency_ns=Latencies(**latencies) if performance and latencies else None,
        samples=findings.samples,
        accuracy=findings.accuracy.reply() if findings.accuracy else None,
        versions=versions(backend),
        device_proof=dict(findings.proof),
        settings=dict(findings.settings),
        seeds=logs.seeds(log),
        model_file=_model_file(findings.model_file, findings.variant),
        loadgen_errors=tuple(log.errors),
        compliance=findings.compliance,
    )


def _model_file(file: UsedModelFile | None, variant: str) -> dict[str, Any] | None:
    if file is None:
        return None
    return {"name": file.path.name, **file.facts, "official": file.official, "variant": variant}


def _missed(score: JudgedScore) -> str:
    target = "" if score.target is None else bound_text(Sense.EXACTLY, score.target, 3)
    return f"{score.metric} {score.value:.3f} {MISSED[score.sense]} the target {target}"
