"""Program in the place of the harness in pods of tests that have no images: events on stdout, files in its folder."""

import json
import os
import sys
import time
from pathlib import Path

REPLY = Path(__file__).with_name("reply.json")


def main(argv: list[str] | None = None) -> int:
    """Do as the harness does with *argv*, as far as a host sees it. Its orders are in a file beside it."""
    argv = sys.argv[1:] if argv is None else argv
    places = dict(each.split("=", 1) for each in os.environ["PLACES"].split(os.pathsep))
    options = dict(word.removeprefix("--").partition("=")[::2] for word in argv[1:])
    results = Path(places["/results"])
    orders = json.loads(Path(__file__).with_name("orders.json").read_text())
    scenario, mode = options["scenario"], options.get("mode", "performance")
    kind = options.get("compliance", mode)
    own = orders.get(f"{scenario} {kind}", {})
    (results / "mlperf_log_summary.txt").write_text(f"{scenario} {kind}\n")
    sys.stderr.write("a library says something\n")
    _tell(event="phase", name="loadgen", time=time.time())
    time.sleep(own.get("seconds", 0.0))
    if own.get("dies"):
        os.kill(os.getpid(), 9)
    if own.get("error"):
        _tell(event="error", exit_code=6, message=f"no data in /results: {scenario}")
        return 6
    reply = json.loads(REPLY.read_text())[kind if kind in ("accuracy", "performance") else "compliance"]
    reply |= {"scenario": scenario, "mode": mode}
    if "compliance" in options:
        assert (Path(places["/performance-run"]) / "result.json").is_file()
        reply["compliance"]["test"] = options["compliance"]
    (results / "result.json").write_text(json.dumps(reply))
    if not own.get("silent"):
        _tell(event="result", **reply)
    return 0


def _tell(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
