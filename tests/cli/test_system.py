"""`system` on this host: a description is written, completed by hand and accepted; nothing needs an engine."""

import json
import re
from pathlib import Path

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.host import facts
from mlperf_docker.systems import description
from tests.cli.test_cli import tool

BY_HAND = {"status": "available", "system_type": "edge", "cooling": "air"}


def completed(path: Path) -> None:
    """Write something wherever the file asks for it."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join(re.sub(r'^([\w-]+): ""(?=  # fill in)', by_hand, line) for line in lines))


def by_hand(line: re.Match[str]) -> str:
    return f"{line[1]}: {BY_HAND.get(line[1], 'N/A')}"


def test_a_description_goes_from_init_to_a_check_that_passes(tmp_path: Path) -> None:
    path = tmp_path / "box.yaml"
    assert tool("system", "init", "my-box", "--to", str(path)).stdout == f"{path}\n"
    refused = tool("system", "check", str(path), expect=ExitCode.USAGE)
    assert "is not complete for round v6.1" in refused.stderr
    assert "status is empty: write available or preview or rdi" in refused.stderr
    completed(path)
    done = tool("system", "check", str(path), "--round", "5.1")
    assert done.stdout == f"{path} has all that round v5.1 asks of a system.\n"
    assert done.stderr == ""
    assert description.load(path).name == "my-box"


def test_a_system_is_not_written_twice(tmp_path: Path) -> None:
    path = tmp_path / "box.yaml"
    tool("system", "init", "--to", str(path))
    assert "--force" in tool("system", "init", "--to", str(path), expect=ExitCode.USAGE).stderr
    tool("system", "init", "--to", str(path), "--force")


def test_a_check_tells_differences_from_this_host_as_warnings(tmp_path: Path) -> None:
    path = tmp_path / "box.yaml"
    tool("system", "init", "--to", str(path))
    completed(path)
    path.write_text(re.sub("(?m)^host_memory_capacity: .*", "host_memory_capacity: 1 PB", path.read_text()))
    done = tool("system", "check", str(path))
    assert re.search("Warning: host_memory_capacity is '1 PB', this host has '.* GiB'", done.stderr)
    told = json.loads(tool("system", "check", str(path), "--json").stdout)
    assert (told["round"], told["problems"], len(told["warnings"])) == ("v6.1", [], 1)


def test_a_check_for_an_unknown_round_names_the_rounds(tmp_path: Path) -> None:
    tool("system", "init", "--to", str(tmp_path / "box.yaml"))
    done = tool("system", "check", str(tmp_path / "box.yaml"), "--round", "v9.9", expect=ExitCode.USAGE)
    assert "v6.1" in done.stderr


def test_the_system_of_this_host_is_shown_for_people_and_programs() -> None:
    shown = tool("system", "show").stdout
    assert re.search(r"^Processor: +\S", shown, re.MULTILINE)
    assert facts.read(json.loads(tool("system", "show", "--json").stdout)) is not None
