"""Selection of the runs that fill a tree: those of a campaign's plan, measured ones first, and all that lacks."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun
from mlperf_docker.campaigns.slots import Slot
from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario
from mlperf_docker.display import shell
from mlperf_docker.results.values import RunResult
from mlperf_docker.rounds.round import RoundBenchmark
from mlperf_docker.rounds.words import Division, Suite
from mlperf_docker.submission import implementation, inference, run_files
from mlperf_docker.submission.entries import EntryRuns
from mlperf_docker.submission.layout import EntryPlace, Kind, Organisation
from mlperf_docker.submission.problems import SubmissionProblem

_ONE_HARNESS = "Make all of them by one."


@dataclass
class Selection:
    """Selection of a campaign's runs for a tree, and what keeps it from being one."""

    plan: CampaignPlan
    system: str
    infer: bool = False
    """Whether entries that were not measured are inferred where the rules allow it."""
    allow_synthetic: bool = False
    problems: list[SubmissionProblem] = field(default_factory=list)

    def entries(self) -> tuple[EntryRuns, ...]:
        """Return the entries of the tree; all problems are in `problems` afterwards."""
        slots = self._slots()
        benchmarks = [each for each in self._benchmarks() if any(slot.benchmark == each.name for slot in slots)]
        if not benchmarks:
            self._note(str(self.plan.campaign.path), "its plan fills no entry", self._see_plan)
        found = [entry for each in benchmarks for entry in self._of_benchmark(each, slots)]
        return (*found, *self._of_lower_levels(found)) if self.infer else tuple(found)

    @property
    def organisation(self) -> Organisation:
        """The part of the tree that the campaign fills."""
        campaign = self.plan.campaign
        return Organisation(campaign.round.layout, campaign.division, campaign.submitter)

    @property
    def _see_plan(self) -> str:
        return f"See: {shell.join(('mlperf-docker', 'campaign', 'plan', str(self.plan.campaign.path)))}"

    @property
    def _run_it(self) -> str:
        command = shell.join(("mlperf-docker", "campaign", "run", str(self.plan.campaign.path)))
        return f"Run it: {command}; or here: --run"

    def _slots(self) -> dict[Slot, PlannedRun]:
        """The plan's run for each slot."""
        found: dict[Slot, PlannedRun] = {}
        for run in self.plan.runs:
            for slot in run.slots:
                other = found.setdefault(slot, run)
                if other is not run:
                    self._note(str(slot), f"{other.name} and {run.name} both fill it", "Leave one cell out.")
        return found

    def _benchmarks(self) -> tuple[RoundBenchmark, ...]:
        named = {each.name: each for cell in self.plan.campaign.cells for each in cell.benchmarks}
        return tuple(named.values())

    def _of_benchmark(self, benchmark: RoundBenchmark, slots: Mapping[Slot, PlannedRun]) -> Iterator[EntryRuns]:
        campaign = self.plan.campaign
        planned = {slot.scenario for slot in slots if slot.benchmark == benchmark.name}
        required = benchmark.required(campaign.suite) if campaign.division is Division.CLOSED else ()
        for scenario in (each for each in Scenario if each in planned or each in required):
            source = self._source(benchmark, scenario, slots)
            if source is None:
                fix = self._how_to_get(scenario, planned)
                self._note(f"{benchmark.name} {scenario}", "the round requires it, and nothing of it is planned", fix)
                continue
            place = self.organisation.entry(self.system, benchmark.name, scenario)
            entry = self._entry(place, benchmark, source, slots)
            if entry is not None:
                yield entry

    def _source(
        self, benchmark: RoundBenchmark, scenario: Scenario, slots: Mapping[Slot, PlannedRun]
    ) -> Scenario | None:
        """The scenario whose runs fill *scenario*: its own if it is planned, and finished or not to be inferred."""
        planned = [each for each in Scenario if Slot(benchmark.name, each, Mode.PERFORMANCE) in slots]
        sources = self._inferable(scenario)
        whole = (each for each in (scenario, *sources) if each in planned and self._is_whole(benchmark, each, slots))
        return next(whole, next((each for each in (scenario, *sources) if each in planned), None))

    def _inferable(self, scenario: Scenario) -> tuple[Scenario, ...]:
        return inference.sources(scenario) if self.infer and self.plan.campaign.suite is Suite.EDGE else ()

    def _is_whole(self, benchmark: RoundBenchmark, scenario: Scenario, slots: Mapping[Slot, PlannedRun]) -> bool:
        runs = [slots.get(Slot(benchmark.name, scenario, kind)) for kind in self._kinds(benchmark)]
        return all(run is not None and run.finished for run in runs)

    def _lacks_tests(
        self, benchmark: RoundBenchmark, source: Scenario, slots: Mapping[Slot, PlannedRun]
    ) -> Iterator[SubmissionProblem]:
        """Yield that no reference implementation, which makes the runs, has the tests of a closed entry."""
        run = slots.get(Slot(benchmark.name, source, Mode.PERFORMANCE))
        tests = [kind for kind in self._kinds(benchmark) if isinstance(kind, ComplianceTest)]
        if run is not None and run.cell.is_reference and tests:
            yield SubmissionProblem(
                f"{benchmark.name} {source}",
                "the closed division asks for compliance tests, which no reference implementation has:"
                f" {', '.join(tests)}",
                f"Write `division: open` in {self.plan.campaign.path}, or run the cell with our own harness.",
            )

    def _kinds(self, benchmark: RoundBenchmark) -> tuple[Kind, ...]:
        closed = self.plan.campaign.division is Division.CLOSED
        return (Mode.PERFORMANCE, Mode.ACCURACY, *(benchmark.tests if closed else ()))

    def _how_to_get(self, scenario: Scenario, planned: Iterable[Scenario]) -> str:
        sources = [each for each in inference.sources(scenario) if each in planned]
        fix = f"Add {scenario} to the cell's scenarios in {self.plan.campaign.path}"
        if sources and not self.infer and self.plan.campaign.suite is Suite.EDGE:
            return f"{fix}; or have it inferred from {sources[0]}, as the rules allow on edge systems: --infer"
        return f"{fix}."

    def _entry(
        self, place: EntryPlace, benchmark: RoundBenchmark, source: Scenario, slots: Mapping[Slot, PlannedRun]
    ) -> EntryRuns | None:
        """Return the entry at *place*; None, with problems noted, where a run of it lacks."""
        untested = tuple(self._lacks_tests(benchmark, source, slots))
        self._note_all(untested)
        found: dict[Kind, RunResult] = {}
        for kind in self._kinds(benchmark):
            if untested and isinstance(kind, ComplianceTest):
                continue
            slot = Slot(benchmark.name, source, kind)
            result = self._result(slot, slots.get(slot))
            if result is not None:
                found[kind] = result
        if len(found) < len(self._kinds(benchmark)):
            return None
        entry = EntryRuns(
            place=place,
            spec=slots[Slot(benchmark.name, source, Mode.PERFORMANCE)].cell.spec,
            performance=found[Mode.PERFORMANCE],
            accuracy=found[Mode.ACCURACY],
            tests={test: found[test] for test in benchmark.tests if test in found},
            measured_as=benchmark.name,
        )
        if len(entry.implementations) > 1:
            runs = "; ".join(f"{kind}: {implementation.text(run.harness)}" for kind, run in entry.by_kind.items())
            self._note(f"{benchmark.name} {source}", f"its runs are of several harnesses ({runs})", _ONE_HARNESS)
        if place.scenario is not source:
            self._note_all(inference.problems(entry))
        return entry

    def _result(self, slot: Slot, planned: PlannedRun | None) -> RunResult | None:
        """Return the result that fills *slot*, with its problems noted; None where there is none to take."""
        if planned is None:
            part = "compliance" if isinstance(slot.kind, ComplianceTest) else slot.kind
            self._note(str(slot), "no such run is planned", f"Add {part} to the cell's modes.")
            return None
        result = planned.result
        if result is None:
            self._note(str(slot), _state(planned), self._run_it)
            return None
        if result.synthetic and not self.allow_synthetic:
            fix = "Run it on the data set; or, to try a tree: --allow-synthetic"
            self._note(str(slot), "it ran on synthetic data", fix)
        self._note_all(run_files.problems(str(slot), result, slot.kind))
        return result

    def _of_lower_levels(self, found: Iterable[EntryRuns]) -> Iterator[EntryRuns]:
        """Yield what entries at the level of 99.9 % fill at that of 99 %, where the campaign has no runs for it."""
        campaign = self.plan.campaign
        named = {each.name: each for each in campaign.round.benchmarks}
        entered = {each.place.benchmark for each in found}
        for entry in found:
            benchmark = named[entry.place.benchmark]
            for lower in inference.lower_levels(benchmark, campaign.round.benchmarks):
                taken = campaign.division in lower.divisions and entry.place.scenario in lower.scenarios
                if lower.name not in entered and taken:
                    place = self.organisation.entry(self.system, lower.name, entry.place.scenario)
                    yield entry.at(place)

    def _note(self, where: str, what: str, fix: str) -> None:
        self._note_all((SubmissionProblem(where, what, fix),))

    def _note_all(self, found: Iterable[SubmissionProblem]) -> None:
        """Note what was not noted yet: a run that fills several entries is looked at for each."""
        self.problems += [each for each in found if each not in self.problems]


def _state(run: PlannedRun) -> str:
    """What keeps the result of a planned run out of a tree."""
    why = f": {'; '.join(run.why)}" if run.why else ""
    return f"the run is {run.state}{why}"
