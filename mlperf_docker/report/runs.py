"""Run as the report shows it: latencies, facts, pictures."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlperf_docker.host import facts as host_facts
from mlperf_docker.report import distribution, pictures
from mlperf_docker.report.bars import Bar, shares
from mlperf_docker.report.picture import Picture
from mlperf_docker.results import text
from mlperf_docker.results.comparison import leaves
from mlperf_docker.results.host_text import host_table
from mlperf_docker.results.values import RunResult

_FACTS_SHOWN = 200  # a title


@dataclass(frozen=True)
class Run:
    """A result and where it stands in the file."""

    anchor: str
    result: RunResult

    @property
    def latencies(self) -> dict[str, Bar]:
        """Mean and percentiles by name; none where the run has no latency."""
        named = self.result.latency_ns.named() if self.result.latency_ns else {}
        bars = map(Bar, map(text.milliseconds, named.values()), shares(named.values()))
        return dict(zip(named, bars, strict=True))

    @cached_property
    def pictures(self) -> tuple[Picture, ...]:
        """Distribution of its latencies, as far as its logs are there; they are read once."""
        found = distribution.read(self.result)
        return tuple(each for each in (pictures.percentiles(found), pictures.histogram(found)) if each) if found else ()

    @property
    def facts(self) -> dict[str, tuple[tuple[str, Any], ...]]:
        """Title → what there is to say of it, as (key, value)."""
        result = self.result
        fields = {
            "Settings": result.settings,
            "Versions": result.versions,
            "Device proof": result.device_proof,
            "Model file": result.model_file or {},
            "Harness": result.harness.model_dump(mode="json") if result.harness else {},
            "Image": result.image.model_dump(mode="json") if result.image else {},
            "Host": host_table(host) if (host := host_facts.read(result.host)) else result.host or {},
            "Energy": result.energy.model_dump(mode="json") if result.energy else {},
            "Further": {"seeds": result.seeds, **(result.model_extra or {})},
        }
        return {title: found for title, each in fields.items() if (found := _some(tuple(leaves(each))))}


def _some(facts: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    """Return *facts*, of very many the first and how many more there are."""
    more = len(facts) - _FACTS_SHOWN
    return facts if more <= 0 else (*facts[:_FACTS_SHOWN], ("…", f"and {more:,} more"))
