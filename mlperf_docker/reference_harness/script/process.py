"""Process of a script of the checkout: started, its output passed on and looked through for signs."""

import json
import os
import re
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlperf_docker.contract import places as contract_places
from mlperf_docker.reference_contract import places
from mlperf_docker.reference_contract.reference import ReferenceImplementation, Sign
from mlperf_docker.reference_harness.script.completions import Watched
from mlperf_docker.reference_harness.script.words import filled, filled_variables

_TAIL_LINES = 20
_LAUNCHER = "mlperf_docker.reference_harness.script.launch"


@dataclass(frozen=True)
class Script:
    """Script of the checkout with its arguments, environment and folder."""

    path: Path
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    """Where it is started."""
    own_venv: bool = False
    restored: Mapping[str, str] = field(default_factory=dict)
    """Names to give back to packages that no longer have them; see restored_names.py."""
    adapted: Mapping[str, str] = field(default_factory=dict)
    """Calls to give their old meaning."""
    seeds: Mapping[str, int] = field(default_factory=dict)
    """Seeds of LoadGen's that are not those of its version."""
    code: Path | None = None
    """Folder of modules that it imports besides its own."""
    watched: Watched | None = None
    """Order to end it when enough samples were completed; None for a run that counts."""

    @property
    def variables(self) -> dict[str, str]:
        """The environment, with what the launcher asks of it."""
        ours = {
            contract_places.LIFELINE_VARIABLE: "1",
            places.RESTORED_VARIABLE: json.dumps(dict(self.restored)),
            places.ADAPTED_VARIABLE: json.dumps(dict(self.adapted)),
            places.SEEDS_VARIABLE: json.dumps(dict(self.seeds)),
            "PATH": os.pathsep.join((str(Path(self.python).parent), os.environ.get("PATH", os.defpath))),
        }
        watched = {places.WATCHED_VARIABLE: self.watched.to_json()} if self.watched else {}
        code = {places.CODE_VARIABLE: str(self.code)} if self.code else {}
        return {**os.environ, **self.environment, **ours, **watched, **code}

    @property
    def python(self) -> str:
        """The interpreter, whose folder also has the `python3` that a script itself may start."""
        return f"{places.VENV}/bin/python" if self.own_venv else sys.executable

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line."""
        return (self.python, "-m", _LAUNCHER, str(self.path), *self.arguments)


def script_of(
    reference: ReferenceImplementation, path: Path, words: Iterable[str], values: Mapping[str, object], folder: Path
) -> Script:
    """The script *path* of *reference* with *words* as arguments, whose placeholders have *values*, in *folder*."""
    return Script(
        path,
        tuple(filled(words, values)),
        filled_variables(reference.environment, values),
        folder,
        own_venv=reference.own_venv,
        restored=reference.restored,
        adapted=reference.adapted,
    )


@dataclass
class Heard:
    """Output of a script, as far as it is kept."""

    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))
    """The last lines."""
    matches: dict[str, re.Match[str]] = field(default_factory=dict)
    """Pattern → its match in the last line that had it."""
    counts: Counter[str] = field(default_factory=Counter)
    """Pattern → lines that had it."""
    code: int = 0
    """The script's exit code; negative: the signal that ended it."""

    def hear(self, line: str, patterns: Iterable[str]) -> None:
        """Take a line of output."""
        self.tail.append(line)
        for pattern in patterns:
            match = re.search(pattern, line)
            if match:
                self.counts[pattern] += 1
                self.matches[pattern] = match

    def said(self, sign: Sign) -> str | None:
        """The sentence of *sign*, or None where nothing had it."""
        match = self.matches.get(sign.pattern)
        if match is None:
            return None
        return sign.says.format("", *match.groups(default=""), count=self.counts[sign.pattern])


def run(script: Script, patterns: Iterable[str] = ()) -> Heard:
    """Run *script* to its end, and look for *patterns* in each line.

    Both of its streams go to our stderr. There is no time limit: a LoadGen test takes what it takes.
    """
    heard, wanted = Heard(), tuple(patterns)
    process = subprocess.Popen(
        script.argv,
        cwd=script.folder,
        env=script.variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="backslashreplace",
    )
    with process:
        for line in process.stdout or ():
            sys.stderr.write(line)
            sys.stderr.flush()
            heard.hear(line.rstrip("\n"), wanted)
        heard.code = process.wait()
    return heard
