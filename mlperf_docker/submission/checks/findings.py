"""Findings of a check: which fault, where, and what was found."""

from collections.abc import Iterable
from dataclasses import dataclass

from mlperf_docker.submission.checks.faults import Fault, FaultSeverity

_ORDER = {fault: number for number, fault in enumerate(Fault)}


@dataclass(frozen=True)
class TreeFinding:
    """Finding in a submission's tree."""

    fault: Fault
    path: str
    """File or folder, relative to the tree."""
    what: str = ""
    """What was found there; "" where the fault says it all."""
    key: str = ""
    """Key of a JSON file or of a log, or `line 12`."""

    @property
    def is_error(self) -> bool:
        """Whether the tree would be refused for it."""
        return self.fault.severity is FaultSeverity.ERROR

    @property
    def place(self) -> str:
        """Path and key in one."""
        return f"{self.path}: {self.key}" if self.key else self.path

    @property
    def order(self) -> tuple[bool, int, str, str, str]:
        """What sorts errors to the front, then by fault and place."""
        return not self.is_error, _ORDER[self.fault], self.path, self.key, self.what

    def fields(self) -> dict[str, str]:
        """The finding as JSON has it."""
        return {
            "code": self.fault.value,
            "severity": self.fault.severity.value,
            "path": self.path,
            "key": self.key,
            "what": self.what or self.fault.about,
            "fix": self.fault.fix,
        }


def in_order(findings: Iterable[TreeFinding]) -> tuple[TreeFinding, ...]:
    """Return each finding once, errors first, those with one fix together."""
    return tuple(sorted(set(findings), key=lambda finding: finding.order))
