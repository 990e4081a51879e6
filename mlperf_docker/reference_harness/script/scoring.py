"""Score of an accuracy run: what the reference's own script says of the accuracy log."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.reference_contract.reference import ReferenceImplementation
from mlperf_docker.reference_harness.script import process


@dataclass(frozen=True)
class PrintedValue:
    """Number as a script prints it."""

    text: str

    @property
    def value(self) -> float:
        """The number."""
        return float(self.text)

    @property
    def rounding(self) -> float:
        """How far the number may be from the one that was rounded."""
        return 0.5 * 10.0 ** -len(self.text.partition(".")[2])


@dataclass(frozen=True)
class ReferenceScores:
    """Values by metric, and the lines that they stand in."""

    values: Mapping[str, PrintedValue]
    lines: tuple[str, ...]

    @property
    def line(self) -> str:
        """The lines as a text."""
        return "\n".join(self.lines)


def score(
    reference: ReferenceImplementation, checkout: Path, values: Mapping[str, object], work: Path
) -> ReferenceScores:
    """Run the scoring script. Raises SampleError where it fails, or says no value of a metric."""
    scoring = reference.scoring
    script = process.script_of(reference, checkout / scoring.script, scoring.arguments, values, work)
    heard = process.run(script, scoring.values.values())
    missing = [metric for metric, pattern in scoring.values.items() if pattern not in heard.matches]
    if heard.code or missing:
        why = f"it exited with {heard.code}" if heard.code else f"it says no {', '.join(missing)}"
        raise SampleError(f"the reference's {scoring.script} gave no score: {why}", details=tuple(heard.tail))
    found = {metric: heard.matches[pattern] for metric, pattern in scoring.values.items()}
    lines = dict.fromkeys(match.string for match in found.values())
    return ReferenceScores({metric: PrintedValue(match[1]) for metric, match in found.items()}, tuple(lines))
