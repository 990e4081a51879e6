"""Detail log: entries, marks, and lines that are none."""

import json
from pathlib import Path

from mlperf_docker.contract import detail_log


def entry(key: object, value: object, **metadata: object) -> str:
    return f":::MLLOG {json.dumps({'key': key, 'value': value, 'metadata': metadata})}\n"


def test_the_last_value_of_a_key_counts_with_its_line() -> None:
    log = detail_log.parse("a line of another kind\n" + entry("rate", 1) + entry("rate", "2.5"))
    assert log.values == {"rate": "2.5"}
    assert log.lines == {"rate": 3}
    assert log.number("rate") == 2.5


def test_errors_and_warnings_are_told_apart() -> None:
    text = entry("error_runtime", "queries ran out", is_error=True) + entry(
        "warning_generic_message", "Found Audit Config", is_warning=True
    )
    log = detail_log.parse(text)
    assert log.errors == ("error_runtime: queries ran out",)
    assert log.warnings == ("warning_generic_message: Found Audit Config",)


def test_a_line_that_is_no_entry_is_left_out() -> None:
    odd = [":::MLLOG [1]", ':::MLLOG {"key": 3, "value": 1}', ':::MLLOG {"key": "a"}', f":::MLLOG {'[' * 99999}"]
    log = detail_log.parse("\n".join([*odd, ':::MLLOG {"key": "b", "value": 1, "metadata": 7}', ':::MLLOG {"key": "c']))
    assert log.values == {"b": 1}


def test_a_value_that_is_no_number_counts_as_zero() -> None:
    log = detail_log.parse(entry("text", "many") + entry("list", [1]))
    assert log.number("text") == log.number("list") == log.number("absent") == 0


def test_a_folder_without_a_log_has_an_empty_one(tmp_path: Path) -> None:
    assert detail_log.read(tmp_path) == detail_log.DetailLog({})
    (tmp_path / detail_log.NAME).write_text(entry("result_validity", "VALID"))
    assert detail_log.read(tmp_path).values == {"result_validity": "VALID"}
