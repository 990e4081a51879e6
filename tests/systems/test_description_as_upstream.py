"""systems/<name>.json before upstream's own check; needs MLPERF_INFERENCE, a checkout of mlcommons/inference."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker.host.probing import probe
from mlperf_docker.host.tree import Tree
from mlperf_docker.rounds.loading import load
from mlperf_docker.systems import checking, suggestion
from mlperf_docker.systems.description import Software, System
from mlperf_docker.systems.keys import KEYS
from tests.host import trees
from tests.rounds.upstream import checkout, constants
from tests.systems.test_checking import BY_HAND

PROGRAM = """
import json, logging, sys, types
sys.path.insert(0, sys.argv[1])
from submission_checker.checks.system_check import SystemCheck
said = json.load(sys.stdin)
logs = types.SimpleNamespace(system_json=said, nameplate_power_yaml=None,
                             loader_data={"submitter": "Org", "division": "closed"})
config = types.SimpleNamespace(skip_meaningful_fields_emptiness_check=False)
accepted = SystemCheck(logging.getLogger(), "systems/box.json", config, logs)()
int(said["number_of_nodes"]) * int(said["accelerators_per_node"])
sys.exit(0 if accepted else 1)
"""
"""Upstream's check, and what its exporter calculates."""
SOFTWARE = Software("onnxruntime 1.32.0", "Python 3.11.2")


def accepted(said: dict[str, str]) -> bool:
    words = [sys.executable, "-c", PROGRAM, str(checkout() / "tools/submission")]
    done = subprocess.run(words, input=json.dumps(said), capture_output=True, text=True, timeout=60, check=False)
    assert "SystemCheck" not in done.stderr, "upstream's check did not come to a verdict"
    return done.returncode == 0


def system_of(folder: Path, shape: str) -> System:
    host = probe(Tree(trees.write(folder, trees.SHAPES[shape])), lambda: None)
    return System("box", {**BY_HAND, **suggestion.suggested(host)}, Path("box.yaml"))


def test_keys_of_a_description_are_upstreams_in_its_order() -> None:
    assert [key.name for key in KEYS] == constants("v6.1")["system_keys"]


@pytest.mark.parametrize("shape", ["two sockets", "wsl"])
def test_a_completed_description_is_accepted_by_upstream(tmp_path: Path, shape: str) -> None:
    system = system_of(tmp_path, shape)
    assert checking.check(system, load().newest).problems == ()
    assert accepted(system.json("closed", "Org", SOFTWARE))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("status", "soon"),
        ("system_type", "edge, datacenter"),
        ("cooling", ""),
        ("accelerators_per_node", "N/A"),
        ("number_of_nodes", "one"),
        ("is_network", "false"),
        ("is_network", "true"),
    ],
)
def test_a_description_that_upstream_refuses_is_refused(tmp_path: Path, key: str, value: str) -> None:
    whole = system_of(tmp_path, "two sockets")
    spoilt = System("box", {**whole.values, key: value}, whole.path)
    assert len(checking.check(spoilt, load().newest).problems) == 1
    assert not accepted(spoilt.json("closed", "Org", SOFTWARE))
