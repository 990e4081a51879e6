"""Logs as LoadGen writes them, with answers and figures of a test's own."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlperf_docker.contract.detail_log import MARK, DetailLog, parse


def write_log(path: Path, answers: Iterable[tuple[int, bytes]]) -> Path:
    """An mlperf_log_accuracy.json with *answers*: sample and payload."""
    with path.open("w") as stream:
        stream.write("[\n")
        for place, (sample, data) in enumerate(answers):
            stream.write(",\n" if place else "")
            stream.write(f'{{ "seq_id" : {place}, "qsl_idx" : {sample}, "data" : "{data.hex().upper()}" }}')
        stream.write("\n]\n")
    return path


def detail_text(warnings: Iterable[str] = (), /, **values: Any) -> str:
    """A detail log with *values*."""
    entries = [{"key": key, "value": value} for key, value in values.items()]
    entries += [
        {"key": "warning_generic_message", "value": warning, "metadata": {"is_warning": True}} for warning in warnings
    ]
    return "".join(f"{MARK}{json.dumps(entry)}\n" for entry in entries)


def detail(warnings: Iterable[str] = (), /, **values: Any) -> DetailLog:
    """The same, read."""
    return parse(detail_text(warnings, **values))
