"""Start of a script of the checkout: `python -m … SCRIPT ARGUMENT…`, as if Python had been given the script.

It ends when its stdin is closed, which its starter keeps open: so it never outlives a starter that was killed.
"""

import json
import os
import runpy
import sys
from pathlib import Path

from mlperf_docker.harness.system import lifeline
from mlperf_docker.reference_contract import places
from mlperf_docker.reference_harness.script import completions, seeds
from mlperf_docker.reference_harness.script.restored_names import adapt, restore


def main() -> None:
    """Run the script as `__main__`, in this process."""
    lifeline.hold()
    script = sys.argv[1]
    sys.argv = sys.argv[1:]
    sys.path[0] = str(Path(script).parent)
    if code := os.environ.pop(places.CODE_VARIABLE, ""):
        sys.path.append(code)
    for name, place in json.loads(os.environ.pop(places.RESTORED_VARIABLE, "{}")).items():
        restore(name, place)
    for name, place in json.loads(os.environ.pop(places.ADAPTED_VARIABLE, "{}")).items():
        adapt(name, place)
    seeds.sow(os.environ.pop(places.SEEDS_VARIABLE, ""))
    completions.watch(os.environ.pop(places.WATCHED_VARIABLE, ""))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
