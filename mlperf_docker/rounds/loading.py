"""Rounds of MLPerf Inference, loaded from rounds.yaml: completed by what they inherit, and validated."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.catalog import checked_yaml
from mlperf_docker.catalog.checked_yaml import FileProblemsError
from mlperf_docker.catalog.selector import UnknownNameError
from mlperf_docker.catalog.yaml_lines import Document, dotted
from mlperf_docker.errors import UsageError
from mlperf_docker.rounds import inheritance
from mlperf_docker.rounds.entries import BenchmarkEntry, LayoutEntry, RoundEntry, RoundsOutline
from mlperf_docker.rounds.inheritance import Node
from mlperf_docker.rounds.round import Round, RoundBenchmark, Scenarios, TreeLayout
from mlperf_docker.rounds.words import Suite
from mlperf_docker.system import paths


class RoundsError(FileProblemsError):
    """rounds.yaml has problems."""

    called = "table of rounds"


@dataclass(frozen=True)
class Rounds:
    """The known rounds, the oldest first."""

    all: tuple[Round, ...]
    earlier: Mapping[str, str]
    """Our model → its last round, where that is older than all of these."""

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, the oldest first."""
        return tuple(each.name for each in self.all)

    @property
    def newest(self) -> Round:
        """The last one."""
        return self.all[-1]

    def find(self, name: str) -> Round:
        """Return the round called *name*, with or without its v. Raises UsageError with the nearest and all of them."""
        wanted = f"v{name.casefold().removeprefix('v')}"
        for each in self.all:
            if each.name == wanted:
                return each
        raise UnknownNameError("round", name, self.names)

    def require(self, name: str, model: str) -> Round:
        """Return the round called *name*, which takes our *model*. Raises UsageError, NotInRoundError."""
        found = self.find(name)
        if not found.benchmarks_of(model):
            raise NotInRoundError(self, found, model)
        return found

    def last_of(self, model: str) -> str | None:
        """The name of the last round that takes our *model*; None if no known one does or did."""
        known = [each.name for each in self.all if each.benchmarks_of(model)]
        return known[-1] if known else self.earlier.get(model)


class NotInRoundError(UsageError):
    """A model that a round does not take."""

    def __init__(self, rounds: Rounds, round_: Round, model: str) -> None:
        last = rounds.last_of(model)
        ended = f"Its last round was {last}" if last else "No known round takes it"
        older = (
            f", which is older than those known here, {rounds.names[0]} and later"
            if last in rounds.earlier.values()
            else ""
        )
        again = f" Take its last round: --round {last}" if last in rounds.names else ""
        super().__init__(
            f"Round {round_.name} has no benchmark of {model}. {ended}{older}.",
            hint=f"{round_.name} takes {', '.join(round_.models)}.{again}",
        )


@functools.cache
def load(path: Path | None = None) -> Rounds:
    """Read *path*, by default the tool's own rounds.yaml. Raises UsageError with every problem and its line."""
    path = path or paths.assets() / "rounds.yaml"
    document = checked_yaml.read(path, RoundsError)
    rounds = _Reader(document).rounds()
    if rounds is None or document.problems:
        raise RoundsError(path, document.problems)
    return rounds


class _Reader:
    """Reads a document; what is wrong becomes problems of it."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._root = Node.of(document.data)

    def rounds(self) -> Rounds | None:
        """The rounds that are valid, or None if the file is none of this kind."""
        if checked_yaml.mapping_of(self._document, RoundsOutline.model_fields) is None:
            return None
        outline = self._valid(RoundsOutline, self._root)
        layouts, benchmarks = self._completed("layouts"), self._completed("benchmarks")
        known = {name: self._valid(LayoutEntry, node) for name, node in layouts.items()}
        rounds = [self._round(name, node, known, benchmarks) for name, node in self._completed("rounds").items()]
        return Rounds(tuple(each for each in rounds if each), outline.last_rounds) if outline else None

    def _completed(self, section: str) -> dict[str, Node]:
        done, problems = inheritance.completed(_entries(self._root.get(section)))
        for path, message in problems:
            self._note(path, message)
        return done

    def _round(
        self, name: str, node: Node, layouts: Mapping[str, LayoutEntry | None], benchmarks: Mapping[str, Node]
    ) -> Round | None:
        entry = self._valid(RoundEntry, node)
        found = [self._benchmark(each, of, benchmarks, entry) for each, of in _entries(node.get("benchmarks"))]
        layout = layouts.get(entry.layout) if entry else None
        if entry is None or layout is None:
            return None
        shared = {key: value for key, value in entry if key not in ("benchmarks", "further_tests", "layout")}
        chosen = TreeLayout(name=entry.layout, **dict(layout))
        return Round(name=name, layout=chosen, benchmarks=tuple(each for each in found if each), **shared)

    def _benchmark(
        self, name: str, node: Node, constants: Mapping[str, Node], of: RoundEntry | None
    ) -> RoundBenchmark | None:
        if node.value is None:  # taken away
            return None
        entry = self._valid(BenchmarkEntry, node.over(constants[name]) if name in constants else node)
        if entry is None or of is None:
            return None
        tests = sorted({*entry.tests, *of.further_tests})
        own = {"datacenter", "edge", "both", "optional", "tests"}
        shared = {key: value for key, value in entry if key not in own}
        return RoundBenchmark(name=name, suites=_suites(entry), tests=tuple(tests), **shared)

    def _valid(self, kind: type[Any], node: Node) -> Any:  # noqa: ANN401  # of kind, or None
        problems = self._document.problems
        return checked_yaml.validate(self._document, kind, node.plain(), (), problems, place=node.place)

    def _note(self, path: Any, message: str) -> None:  # noqa: ANN401
        self._document.problems.note(self._document.line(path), "{}: {}".format, dotted(path), message)


def _entries(node: Node | None) -> Iterable[tuple[str, Node]]:
    return node.value.items() if node is not None and node.is_mapping else ()


def _suites(entry: BenchmarkEntry) -> dict[Suite, Scenarios]:
    """The types of systems that have required scenarios, with them."""
    required = {suite: entry.required(suite) for suite in Suite}
    return {
        suite: Scenarios(required=found, optional=entry.optional.get(suite, ()))
        for suite, found in required.items()
        if found
    }
