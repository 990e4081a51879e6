"""Targets: what is mutated, the commands that read it, and the outcomes that are allowed."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz import goods, mutations
from tests.fuzz.server import DIGEST, HARNESS, HOST, MAKE, Command, Outcome, Server

MEMORY = 1 << 30
"""Bytes that an input may take beyond a good one."""
PROCESSOR_S = 10.0
"""Seconds of a processor that an input may take beyond a good one; a hang is one that does not end in WALL_S."""
WALL_S = 60.0
LONGEST = 100_000
"""Characters that a command may print."""

BACKENDS = {"rnnt": "pytorch", "dlrm": "pytorch"}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Found:
    """A command's outcome on a mutated input that is not as it should be."""

    reason: str
    command: Command
    outcome: Outcome

    def __str__(self) -> str:
        said = (self.outcome.stdout + self.outcome.stderr)[-1500:]
        return f"{self.reason}\n  {' '.join(self.command.arguments)}\n  code {self.outcome.code}: {said}"


Judge = Callable[[Outcome], str | None]


@dataclass(frozen=True)
class Asked:
    """A command, the exit codes that it may end with, and a further look at what it printed."""

    command: Command
    codes: frozenset[int]
    judge: Judge | None = None


class Target:
    """A kind of input. A case mutates a copy of a good one, and asks the commands that read it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.good = folder / "good"
        self.work = folder / "work"
        self.scratch = folder / "scratch"
        self._usual: dict[tuple[str, ...], Outcome] = {}

    def make(self, server: Server) -> None:
        """Make the good input, and see that it is good."""
        self.good.mkdir(parents=True)
        self.scratch.mkdir()
        self.prepare(server)
        mutations.copied(self.good, self.work)
        for asked in self.asked():
            outcome = _must(server.run(asked.command))
            self._usual[asked.command.arguments] = outcome

    def prepare(self, server: Server) -> None:
        """Fill the folder *good*."""
        raise NotImplementedError

    def mutate(self, rng: Random) -> str:
        """Change something in the folder *work*; say what."""
        path = rng.choice(self.files())
        return mutations.mutate(rng, path)

    def files(self) -> list[Path]:
        """The files that may be changed: the ones that say what there is as often as all others together."""
        found = sorted(path for path in self.work.rglob("*") if path.is_file() and not path.is_symlink())
        lists = [path for path in found if path.suffix in (".json", ".txt", ".yaml")]
        return found + lists * (1 + len(found) // (len(lists) or 1) // 2)

    def asked(self) -> list[Asked]:
        """The commands."""
        raise NotImplementedError

    def command(self, kind: str, *arguments: object) -> Command:
        """A command that runs in the scratch folder."""
        return Command(kind, tuple(map(str, arguments)), str(self.scratch), seconds=WALL_S)

    def case(self, server: Server, rng: Random) -> tuple[str, list[Found]]:
        """Mutate a copy and ask; gives what was done, and what is not as it should be."""
        mutations.copied(self.good, self.work)
        did = self.mutate(rng)
        found = []
        for asked in self.asked():
            outcome = server.run(asked.command)
            reason = self.problem(asked, outcome)
            if reason:
                found.append(Found(reason, asked.command, outcome))
        return did, found

    def problem(self, asked: Asked, outcome: Outcome) -> str | None:
        """What is wrong with the outcome of a command, if anything is."""
        usual = self._usual.get(asked.command.arguments)
        text = outcome.stdout + outcome.stderr
        if outcome.code is None:
            return "does not end"
        if "Traceback (most recent call last)" in text:
            return "a traceback"
        if outcome.code not in asked.codes:
            return f"exit code {outcome.code}, not one of {sorted(asked.codes)}"
        if usual and outcome.peak_bytes > usual.peak_bytes + MEMORY:
            return f"{outcome.peak_bytes / 1e9:.1f} GB of memory"
        if usual and outcome.processor_s > usual.processor_s + PROCESSOR_S:
            return f"{outcome.processor_s:.0f} s of processor time"
        if len(text) > LONGEST:
            return f"{len(text)} characters of output"
        return asked.judge(outcome) if asked.judge else None


def _must(outcome: Outcome) -> Outcome:
    """The outcome of what has to succeed."""
    if outcome.code != 0:
        raise RuntimeError(f"a good input is refused: {outcome}")
    return outcome


def explained(outcome: Outcome) -> str | None:
    """What is wrong with the harness's last event, if it did not end with 0."""
    if outcome.code == 0:
        return None
    events = [json.loads(line) for line in outcome.stdout.splitlines()]
    errors = [event for event in events if event["event"] == "error"]
    if len(errors) != 1 or errors[0]["exit_code"] != outcome.code or not errors[0]["message"]:
        return "no error event that says why"
    return None


class DataSet(Target):
    """A data set of a model, read to its end by `verify`.

    Judged beyond that: where a file format has checksums of its own (FLAC, gzip), damaged bytes must not give other
    samples. Damage to pictures, texts and Criteo's rows may be another picture, text or row, and nobody can tell.
    """

    COVERED = (".flac", ".gz")

    def __init__(self, model: str, folder: Path) -> None:
        super().__init__(f"data set of {model}", folder)
        self.model = model
        self.backend = BACKENDS.get(model, "onnxruntime")
        self._must_be_same = False
        self._digest = ""

    def prepare(self, server: Server) -> None:
        _must(server.run(self.command(MAKE, goods.DATA_SETS[self.model], self.good)))
        self._digest = _digest(server.run(self._ask_digest(self.good)))

    def mutate(self, rng: Random) -> str:
        covered = [path for path in self.files() if path.suffix in self.COVERED]
        self._must_be_same = bool(covered) and rng.random() < 0.3
        return mutations.damage(rng, rng.choice(covered)) if self._must_be_same else super().mutate(rng)

    def asked(self) -> list[Asked]:
        cell = ("--model", self.model, "--backend", self.backend, "--device", "cpu")
        verify = self.command(HARNESS, "verify", *cell, "--data", self.work, "--workers", 1)
        return [Asked(verify, frozenset({0, 6}), explained)]

    def case(self, server: Server, rng: Random) -> tuple[str, list[Found]]:
        did, found = super().case(server, rng)
        if self._must_be_same and not found:
            asked = Asked(self._ask_digest(self.work), frozenset({0, 6}), explained)
            outcome = server.run(asked.command)
            reason = self.problem(asked, outcome)
            if not reason and outcome.code == 0 and _digest(outcome) != self._digest:
                reason = "other samples, and nothing is said"
            found += [Found(reason, asked.command, outcome)] if reason else []
        return did, found

    def _ask_digest(self, data: Path) -> Command:
        cache = self.scratch / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir()
        return self.command(DIGEST, self.model, data, cache)


def _digest(outcome: Outcome) -> str:
    events = [json.loads(line) for line in _must(outcome).stdout.splitlines()]
    return str(events[-1]["digest"])


class ModelFile(Target):
    """A model file of some format, loaded by `inspect-model`."""

    def __init__(self, name: str, model: str, backend: str, make: str, file: str, folder: Path) -> None:
        super().__init__(name, folder)
        self._make, self._file = make, file
        self._cell = ("--model", model, "--backend", backend, "--device", "cpu")

    def prepare(self, server: Server) -> None:
        _must(server.run(self.command(MAKE, self._make, self.good)))

    def asked(self) -> list[Asked]:
        path = self.work / self._file
        inspect = self.command(HARNESS, "inspect-model", *self._cell, "--model-file", path)
        return [Asked(inspect, frozenset({0, 7}), explained)]


class Cache(Target):
    """Entries of the cache that the samples of a model come from: whatever happened to them, the samples are right.

    Notices are allowed, and nothing else.
    """

    def __init__(self, model: str, folder: Path) -> None:
        super().__init__(f"cache of {model}", folder)
        self.model = model
        self._data = folder / "data"
        self._right = ""

    def prepare(self, server: Server) -> None:
        self._data.mkdir()
        _must(server.run(self.command(MAKE, goods.DATA_SETS[self.model], self._data)))
        self._right = _digest(server.run(self.command(DIGEST, self.model, self._data, self.good)))

    def mutate(self, rng: Random) -> str:
        kind = rng.random()
        if kind < 0.4:
            path = rng.choice(sorted(path for path in self.work.rglob("*") if path.is_file() and path.stat().st_size))
            return mutations.damage(rng, path)
        if kind < 0.6:
            self._interrupt(rng)
            return "interrupted, and " + super().mutate(rng)
        return super().mutate(rng)

    def _interrupt(self, rng: Random) -> None:
        """As if the run that made an entry had been killed, with some of it on the disk."""
        entry = rng.choice([path for path in (self.work / "preprocessed").iterdir() if path.is_dir()])
        for path in entry.iterdir():
            if rng.random() < 0.5:
                mutations.apply(mutations.zeroed, rng, path)
        entry.rename(entry.with_name(f"{entry.name}.partial"))

    def asked(self) -> list[Asked]:
        ask = self.command(DIGEST, self.model, self._data, self.work)
        return [Asked(ask, frozenset({0}), self._same)]

    def _same(self, outcome: Outcome) -> str | None:
        return None if _digest(outcome) == self._right else "other samples than those of the data set"


class SyntheticCache(Target):
    """A synthetic set in the cache, damaged: an accuracy run still ends with 0, and with the known value."""

    def prepare(self, server: Server) -> None:
        (self.scratch / "results").mkdir()
        _must(server.run(self._run(self.good)))

    def _run(self, cache: Path) -> Command:
        cell = ("--model", "resnet50", "--backend", "onnxruntime", "--device", "cpu", "--synthetic", "tiny")
        options = ("--mode", "accuracy", "--samples", 16, "--cache", cache, "--results", self.scratch / "results")
        return self.command(HARNESS, "run", *cell, *options)

    def asked(self) -> list[Asked]:
        return [Asked(self._run(self.work), frozenset({0}), self._known)]

    def _known(self, outcome: Outcome) -> str | None:
        result = json.loads(outcome.stdout.splitlines()[-1])
        return None if result["accuracy"]["value"] == 87.5 else "another accuracy"


def clean(outcome: Outcome) -> str | None:
    """What is wrong with output that goes to a terminal."""
    found = CONTROL.search(outcome.stdout + outcome.stderr)
    return f"the control character {found[0]!r}" if found else None


def strict(outcome: Outcome) -> str | None:
    """What is wrong with JSON for any reader."""
    if outcome.code != 0:
        return clean(outcome)
    try:
        json.loads(outcome.stdout, parse_constant=lambda word: json.loads(f"no number: {word}"))
    except ValueError:
        return "no JSON"
    return None


class Results(Target):
    """A results folder with one odd result: the other is listed all the same."""

    NAMES = ("20260101T000000.000-run", "20260102T000000.000-run")

    def prepare(self, server: Server) -> None:
        goods.results(self.good)

    def files(self) -> list[Path]:
        return [self.work / self.NAMES[0] / "result.json"]

    def asked(self) -> list[Asked]:
        where = ("--results", self.work)
        every, either = frozenset({0}), frozenset({0, 2})
        return [
            Asked(self.command(HOST, "results", "list", *where), every, self._lists_the_other),
            Asked(self.command(HOST, "results", "list", "--json", *where), every, strict),
            Asked(self.command(HOST, "results", "show", self.NAMES[0], *where), either, clean),
            Asked(self.command(HOST, "results", "compare", *self.NAMES, *where), either, clean),
            Asked(self.command(HOST, "results", "report", *where), every, clean),
        ]

    def _lists_the_other(self, outcome: Outcome) -> str | None:
        return clean(outcome) or (None if self.NAMES[1][:8] in outcome.stdout else "the good result is not listed")


class Description(Target):
    """A system's description, read by `system check`."""

    def prepare(self, server: Server) -> None:
        goods.description(self.good)

    def mutate(self, rng: Random) -> str:
        return mutations.apply(rng.choice((yaml_value, mutations.of_text)), rng, self.work / "box.yaml")

    def asked(self) -> list[Asked]:
        return [Asked(self.command(HOST, "system", "check", self.work / "box.yaml"), frozenset({0, 2}), clean)]


class SubmittedTree(Target):
    """A submission's tree, read by `submission check`: a verdict in any case, also as JSON."""

    CHECKED = frozenset({0, 1})

    def prepare(self, server: Server) -> None:
        goods.submission(self.good)

    def asked(self) -> list[Asked]:
        check = ("submission", "check", self.work)
        return [
            Asked(self.command(HOST, *check), self.CHECKED, clean),
            Asked(self.command(HOST, *check, "--json"), self.CHECKED, self._strict),
        ]

    def _strict(self, outcome: Outcome) -> str | None:
        return strict(replace(outcome, code=0))


class CatalogFile(Target):
    """The catalog, read by `list`."""

    def prepare(self, server: Server) -> None:
        goods.catalog(self.good)

    def mutate(self, rng: Random) -> str:
        return mutations.apply(rng.choice((yaml_value, mutations.of_text)), rng, self.work / "images.yaml")

    def asked(self) -> list[Asked]:
        ask = replace(self.command(HOST, "models", "list"), assets=str(self.work))
        return [Asked(ask, frozenset({0, 2}), clean)]


class RoundsFile(Target):
    """The table of rounds, read by `rounds show`."""

    def prepare(self, server: Server) -> None:
        goods.rounds(self.good)

    def mutate(self, rng: Random) -> str:
        return mutations.apply(rng.choice((yaml_value, mutations.of_text)), rng, self.work / "rounds.yaml")

    def asked(self) -> list[Asked]:
        ask = replace(self.command(HOST, "rounds", "show"), assets=str(self.work))
        return [Asked(ask, frozenset({0, 2}), clean)]


class CampaignFile(Target):
    """A campaign's file, read by `campaign plan`."""

    def prepare(self, server: Server) -> None:
        goods.campaign(self.good)

    def mutate(self, rng: Random) -> str:
        return mutations.apply(rng.choice((yaml_value, mutations.of_text)), rng, self.work / "campaign.yaml")

    def asked(self) -> list[Asked]:
        ask = self.command(HOST, "campaign", "plan", self.work)
        return [Asked(ask, frozenset({0, 2}), clean)]


YAML_VALUES = (
    *("&a [*a, *a]", "!!int x", "!!float x", "!!timestamp x", "!!python/object:os.system x", "2026-13-45", "0o9"),
    *("12:99:99+99:00", "9" * 5000, "~", ".nan", "-.inf", "!!binary x", "{<<: 1}", "? - x", "'", "\t", "%TAG x", "---"),
    *("&a {x: &b {y: *a}}", "[" * 2000, "\x00", "\ufeff", "!!set {a}", "1e999", "0x" + "f" * 300, "<<: *x", "*x"),
)


def yaml_value(rng: Random, data: bytes) -> bytes:
    """A value of a YAML document replaced, or a key."""
    lines = data.decode().split("\n")
    at = rng.choice([number for number, line in enumerate(lines) if ":" in line])
    key, _, _ = lines[at].partition(":")
    lines[at] = f"{key}: {rng.choice(YAML_VALUES)}" if rng.random() < 0.8 else f"{rng.choice(YAML_VALUES)}: 1"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


MODEL_FILES = (
    ("safetensors", "resnet50", "onnxruntime", "safetensors", "model.safetensors"),
    ("onnx", "resnet50", "onnxruntime", "onnx", "model.onnx"),
    ("onnx and its data", "resnet50", "onnxruntime", "onnx_with_data", "model.onnx"),
    ("pth", "3d-unet", "pytorch", "checkpoint", "model.pth"),
    ("torchscript", "3d-unet", "pytorch", "torchscript", "model.ptc"),
    ("frozen graph", "resnet50", "tensorflow", "frozen_graph", "model.pb"),
    ("saved model", "3d-unet", "tensorflow", "saved_model", "model.zip"),
)
"""Name, model, backend, what makes it, file."""


def every(folder: Path) -> Sequence[Target]:
    """All targets, with their folders below *folder*."""
    models = list(goods.DATA_SETS)
    kinds: list[Any] = [
        *(partial(DataSet, model) for model in models),
        *(partial(Cache, model) for model in models),
        partial(SyntheticCache, "synthetic set"),
        *(partial(ModelFile, *each) for each in MODEL_FILES),
        partial(Results, "results"),
        partial(Description, "description"),
        partial(SubmittedTree, "submission"),
        partial(CatalogFile, "catalog"),
        partial(RoundsFile, "rounds"),
        partial(CampaignFile, "campaign"),
    ]
    return [kind(folder / str(number)) for number, kind in enumerate(kinds)]
