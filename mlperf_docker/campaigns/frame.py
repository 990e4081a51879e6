"""Frame of a campaign: what a round takes in a division from a type of system."""

from collections.abc import Iterable
from dataclasses import dataclass

from mlperf_docker.contract.words import Scenario
from mlperf_docker.rounds.round import Round, RoundBenchmark
from mlperf_docker.rounds.words import Division, Suite


@dataclass(frozen=True)
class Frame:
    """Division and suite of a round: which benchmarks and scenarios its entries may have, and must."""

    round: Round
    division: Division
    suite: Suite

    def takes(self, benchmark: RoundBenchmark) -> bool:
        """Tell whether the division and the suite take *benchmark*; the open division asks for no suite."""
        is_open = self.division is Division.OPEN
        return self.division in benchmark.divisions and (is_open or self.suite in benchmark.suites)

    def scenarios(self, benchmark: RoundBenchmark) -> tuple[Scenario, ...]:
        """The scenarios that an entry may have."""
        found = benchmark.suites.get(self.suite)
        if self.division is Division.OPEN or found is None:
            return benchmark.scenarios
        return tuple(each for each in Scenario if each in (*found.required, *found.optional))

    def required(self, benchmark: RoundBenchmark) -> tuple[Scenario, ...]:
        """The scenarios that an entry must have, and in the open division those that a closed one must have."""
        return benchmark.required(self.suite) or benchmark.scenarios

    def not_taken(self, model: str, benchmarks: Iterable[RoundBenchmark]) -> str:
        """Say in which divisions and suites the round takes *model*, whose *benchmarks* are not taken here."""
        if not any(self.division in each.divisions for each in benchmarks):
            others = sorted({division for each in benchmarks for division in each.divisions})
            return f"{self.round.name} takes {model} in the {' and '.join(others)} division only"
        suites = [suite for suite in Suite if any(suite in each.suites for each in benchmarks)]
        return f"{self.round.name} takes {model} on systems of the type {' or '.join(suites)} only"
