"""YAML as the tool reads it."""

import pytest

from mlperf_docker.catalog import yaml_lines


@pytest.mark.parametrize("text", ["2:00:00", "190:20:30.15", "1:59"])
def test_a_number_to_the_base_of_60_is_text(text: str) -> None:
    assert yaml_lines.read(f"time: {text}\nnumber: 12\n").data == {"time": text, "number": 12}
