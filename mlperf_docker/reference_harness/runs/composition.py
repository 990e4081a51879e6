"""Result of a run by the reference: the keys that our harness gives, and what is to be known of the reference."""

from dataclasses import replace
from typing import Any

from mlperf_docker.contract import detail_log
from mlperf_docker.contract.result import RunReply
from mlperf_docker.contract.words import Mode
from mlperf_docker.harness.api.backend import Backend
from mlperf_docker.harness.commands import result
from mlperf_docker.harness.commands.options import LoadgenRun
from mlperf_docker.harness.samples import accuracy_log
from mlperf_docker.reference_harness.runs.accuracy import ScoredRun
from mlperf_docker.reference_harness.runs.performing import PerformedTest
from mlperf_docker.reference_harness.runs.preparation import PreparedFiles


def compose(prepared: PreparedFiles, backend: Backend, test: PerformedTest, scored: ScoredRun | None) -> RunReply:
    """The result, as our harness gives it, with what is to be known of the reference's."""
    given, options = prepared.given, prepared.given.options
    log = detail_log.read(options.folders.results)
    answered, empty = _answered(log, options)
    findings = result.Findings(
        log=log,
        by_instance=(answered,),
        dataset_count=given.count,
        accuracy=scored.accuracy if scored else None,
        proof={"proved": False, "why": "the reference does not say where it computes"},
        settings=_settings(prepared, log),
        model_file=prepared.file,
        variant="as the reference reads it",
    )
    reply = result.compose(options, backend, findings)
    signs = [each for each in given.reference.signs if each.device in ("", options.cell.device.value)]
    said = [(sign.invalid, sentence) for sign in signs if (sentence := test.heard.said(sign))]
    wrong = [sentence for invalid, sentence in said if invalid]
    if empty and not given.reference.empty_answers:
        wrong.append(f"{empty} samples were answered with nothing")
    noted = [sentence for invalid, sentence in said if not invalid]
    remarks = [*given.reference.remarks, *test.remarks, *(scored.remarks if scored else ()), *noted]
    told = {**reply.settings, "remarks": remarks}
    return replace(reply, valid=reply.valid and not wrong, reasons=(*wrong, *reply.reasons), settings=told)


def _answered(log: detail_log.DetailLog, options: LoadgenRun) -> tuple[int, int]:
    """How many samples were answered, and how many of these with nothing: only an accuracy log tells that."""
    if options.mode is Mode.PERFORMANCE:
        return round(log.number("result_query_count") * log.number("effective_samples_per_query")), 0
    answers = [len(each.data) for each in accuracy_log.answers(options.folders.results / accuracy_log.NAME)]
    return len(answers), answers.count(0)


def _settings(prepared: PreparedFiles, log: detail_log.DetailLog) -> dict[str, Any]:
    given = prepared.given
    keys = ("min_duration_ms", "min_query_count", "performance_sample_count", "target_qps")
    effective = {key: log.values[f"effective_{key}"] for key in keys if f"effective_{key}" in log.values}
    asked = {"batch_size": prepared.values.get("batch_size"), "threads": prepared.values.get("threads")}
    return {
        **effective,
        **{key: value for key, value in asked.items() if value is not None},
        "dataset_samples": given.count,
        "answers": given.reference.answers.value,
        "script": f"{given.reference.folder}/{given.reference.script}",
    }
