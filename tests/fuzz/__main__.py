"""`python -m tests.fuzz`: mutate inputs for a while, and print what went wrong, with what makes it again.

A case is a target, a seed and a number: the same three are the same input.
"""

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.fuzz.server import Server
from tests.fuzz.targets import Found, Target, every

SEED = "1"


def case(target: Target, server: Server, seed: str, number: int) -> tuple[str, list[Found]]:
    """Case *number* of a target."""
    return target.case(server, Random(f"{seed} {target.name} {number}"))  # noqa: S311 (to be repeated, not to be secret)


def kept(target: Target, seed: str, number: int, keep: Path) -> Path:
    """A copy of the input of the case that was just run."""
    path = keep / re.sub(r"\W+", "-", f"{target.name}-{seed}-{number}")
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(target.work, path, symlinks=True, copy_function=_copy, ignore=_pipes)
    return path


def _copy(source: str, target: str) -> None:
    shutil.copy2(source, target, follow_symlinks=False)


def _pipes(folder: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_fifo()]


@contextmanager
def targets(names: Sequence[str] = ()) -> Iterator[tuple[Server, list[Target]]]:
    """The server and the targets *names*, or all, made."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, Server() as server:
        chosen = [target for target in every(Path(folder)) if not names or target.name in names]
        for target in chosen:
            target.make(server)
        yield server, chosen


def main() -> int:
    """Fuzz; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", default=SEED)
    parser.add_argument("--seconds", type=float, default=600.0, help="default: 600")
    parser.add_argument("--target", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--case", type=int, help="only this case of each target")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"), metavar="DIR", help="where inputs are kept")
    options = parser.parse_args()
    with targets(options.target) as (server, chosen):
        return _rounds(options, server, chosen)


def _rounds(options: argparse.Namespace, server: Server, chosen: Sequence[Target]) -> int:
    end, number, found = time.monotonic() + options.seconds, options.case or 0, 0
    while time.monotonic() < end:
        for target in chosen:
            did, problems = case(target, server, options.seed, number)
            found += bool(problems)
            if problems:
                place = kept(target, options.seed, number, options.keep)
                print(f"{target.name}: {did}; --seed {options.seed} --target '{target.name}' --case {number}; {place}")
                print(*problems, sep="\n", flush=True)
        number += 1
        if options.case is not None:
            break
    print(f"{number} cases of each of {len(chosen)} targets with the seed {options.seed}: {found} with findings")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
