"""Question to all of upstream's checkers in a checkout, and their answers in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.display.progress import Display
from mlperf_docker.rounds.round import Round
from mlperf_docker.submission.checks.text import finding_lines
from mlperf_docker.submission.official import running
from mlperf_docker.submission.official.checkout import Checkout, find
from mlperf_docker.submission.official.running import OfficialVerdict

__all__ = ["OfficialAnswer", "ask", "find"]
_WORDS = {True: "accepts the tree", False: "refuses the tree", None: "was not asked"}


@dataclass(frozen=True)
class OfficialAnswer:
    """Answers of the checkers in a checkout."""

    checkout: Checkout
    verdicts: tuple[OfficialVerdict, ...]

    @property
    def passes(self) -> bool:
        """Whether none of those that were run refuses the tree."""
        return all(each.accepts is not False for each in self.verdicts)

    def fields(self) -> dict[str, Any]:
        """The answers as JSON has them."""
        checkers = [each.fields() for each in self.verdicts]
        return {"checkout": str(self.checkout.folder), "commit": self.checkout.commit, "checkers": checkers}

    @property
    def brief(self) -> str:
        """All verdicts in one clause."""
        said = ", ".join(f"{each.checker} {_WORDS[each.accepts]}" for each in self.verdicts)
        return f"upstream's checkers: {said}"

    def lines(self) -> Iterator[str]:
        """Yield each verdict, and what the checker found."""
        for each in self.verdicts:
            note = f": {each.note}" if each.note else ""
            yield f"{each.checker} of {self.checkout.title} {_WORDS[each.accepts]}{note}."
            yield from finding_lines(each.findings)


def ask(checkout: Checkout, tree: Path, round_: Round, display: Display, *, in_container: bool) -> OfficialAnswer:
    """Run every checker of *checkout* that reads trees of the round. Raises UsageError where there is none."""
    if in_container:
        run = running.in_container(checkout, tree, round_, display)
    else:
        run = running.on_host(checkout, tree, round_)
    return OfficialAnswer(checkout, tuple(running.verdicts(checkout, round_, run)))
