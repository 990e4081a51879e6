"""Targets of benchmarks that share their runs: finished accuracy runs tell which of them the runs can fill."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mlperf_docker.campaigns.campaign import Campaign
from mlperf_docker.campaigns.cells import CampaignCell
from mlperf_docker.campaigns.slots import Slot
from mlperf_docker.contract.words import Scenario
from mlperf_docker.results.values import RunResult
from mlperf_docker.rounds.round import RoundBenchmark
from mlperf_docker.rounds.words import Division


@dataclass(frozen=True)
class KnownScores:
    """Scores of finished accuracy runs, by cell, harness and scenario."""

    scores: Mapping[tuple[str, str, Scenario], Mapping[str, float]]

    @classmethod
    def of(cls, results: Iterable[RunResult]) -> "KnownScores":
        """Return what the accuracy runs *results* came to."""
        return cls(
            {
                (f"{each.cell} {each.precision}", each.harness_name, each.scenario): {
                    score.metric: score.value for score in each.accuracy.scores
                }
                for each in results
                if each.accuracy is not None
            }
        )

    def narrowed(
        self, slots: tuple[Slot, ...], cell: CampaignCell, campaign: Campaign
    ) -> tuple[tuple[Slot, ...], tuple[str, ...]]:
        """Return those of *slots* whose accuracy is not known to be missed, and notes of what was found.

        Where all of them are missed they stay: it is for the check of a tree to refuse them.
        """
        missed = {slot.benchmark: tuple(self._missed(slot, cell)) for slot in slots}
        notes = tuple(note for found in missed.values() for note in found)
        reached = tuple(slot for slot in slots if not missed[slot.benchmark])
        return (reached if reached and campaign.division is Division.CLOSED else slots), notes

    def _missed(self, slot: Slot, cell: CampaignCell) -> Iterator[str]:
        """Yield in words which targets of the slot's benchmark the accuracy run misses."""
        scores = self.scores.get((f"{cell.spec} {cell.precision}", cell.harness, slot.scenario))
        benchmark: RoundBenchmark = next(each for each in cell.benchmarks if each.name == slot.benchmark)
        for target in benchmark.targets if scores is not None else ():
            value = (scores or {}).get(target.score, math.nan)
            if not value >= target.value:
                where = f"{slot.benchmark} {slot.scenario} of {cell}"
                yield f"{where}: {target.score} is {value:.6g}, under the target {target.value:.8g}"
