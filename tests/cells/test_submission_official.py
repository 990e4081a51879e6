"""`submission check --official` on a real engine: what a checker in its container can do, and cannot."""

import json
import os
from pathlib import Path

import pytest

from tests.cells.tool import Tool

pytestmark = pytest.mark.engine

PROGRAM = """
import json, logging, os, socket, sys, yaml
logging.basicConfig(level=logging.INFO, format="[%(asctime)s %(filename)s:%(lineno)d %(levelname)s] %(message)s")
TABLE = {
    "v6.1": {
    },
}
def refused(action):
    try:
        action()
    except OSError:
        return True
    return False
root = sys.argv[sys.argv.index("--input") + 1]
facts = {
    "tree": not refused(lambda: os.listdir(root)),
    "tree is closed": refused(lambda: open(root + "/new", "w")),
    "checkout is closed": refused(lambda: open(__file__, "a")),
    "no network": refused(lambda: socket.create_connection(("192.0.2.1", 80), 3)),
    "yaml": yaml.safe_load("a: 1") == {"a": 1},
    "user": os.getuid(),
}
logging.error("facts %s", json.dumps(facts))
sys.exit(1)
"""


def test_upstreams_checker_sees_the_tree_and_can_change_nothing(tool: Tool, image: str, tmp_path: Path) -> None:
    script = tmp_path / "checkout/tools/submission/submission_checker_old.py"
    script.parent.mkdir(parents=True)
    script.write_text(PROGRAM)
    (tmp_path / "tree/closed/Acme").mkdir(parents=True)
    arguments = ("submission", "check", str(tmp_path / "tree"), "--round", "v6.1", "--json")
    done = tool(*arguments, "--official", str(tmp_path / "checkout"), expect=1)
    (checker,) = json.loads(done.stdout)["official"]["checkers"]
    (finding,) = checker["findings"]
    facts = json.loads(finding["what"].removeprefix("facts "))
    assert facts.pop("user") == os.getuid()
    assert facts == dict.fromkeys(facts, True)
    assert len(facts) == 5
    assert not (tmp_path / "tree/new").exists()
