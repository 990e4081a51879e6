"""Page of the submission's checks: its table of codes is that of the code."""

from mlperf_docker.submission.checks.faults import Fault
from tests.docs.markdown import ROOT, rows, section


def test_every_fault_of_a_submission_is_explained() -> None:
    table = rows(section(ROOT / "docs/submission-checks.md", "Codes"))
    assert table == [[f"`{fault.value}`", str(fault.severity), fault.about, fault.fix] for fault in Fault]
