"""Layout of a submission's tree: the place of every file, relative to the tree's root, in the layouts of all rounds.

Pure: writer and checker ask here and nowhere else, and neither the disk nor a run's logs are read.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

from mlperf_docker.contract import compliance
from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario
from mlperf_docker.rounds.round import TreeLayout
from mlperf_docker.rounds.words import Division

SUMMARY = "mlperf_log_summary.txt"
DETAIL = "mlperf_log_detail.txt"
ACCURACY_LOG = "mlperf_log_accuracy.json"
ACCURACY = "accuracy.txt"
USER_CONF = "user.conf"
MLPERF_CONF = "mlperf.conf"
README = "README.md"
VERIFIED_ACCURACY = compliance.VERIFIED_ACCURACY
VERIFIED_PERFORMANCE = compliance.VERIFIED_PERFORMANCE
BASELINE_SCORE = compliance.BASELINE_SCORE
COMPLIANCE_SCORE = compliance.COMPLIANCE_SCORE

PERFORMANCE_FILES = (SUMMARY, DETAIL)
"""Files of a performance run, in `performance/run_1`, of compliance tests too."""
ACCURACY_FILES = (SUMMARY, DETAIL, ACCURACY_LOG, ACCURACY)
"""Files of an accuracy run, in `accuracy`."""
TEST_ACCURACY_FILES = (ACCURACY_LOG, ACCURACY)
"""Files of TEST01's answers, in `TEST01/accuracy`."""
TEST_SCORES = (BASELINE_SCORE, COMPLIANCE_SCORE)
"""Files beside them where the answers are not equal bit for bit, and scores are compared."""
TOLERATED_FILES = (ACCURACY_LOG,)
"""Files that may stand beside those of a performance run."""

SYNTHETIC = "SYNTHETIC"
"""Mark of a tree that was made on synthetic data: in its READMEs, measurements and notes on systems."""
SYNTHETIC_NOTE = PurePosixPath(f"{SYNTHETIC}.md")
"""The file that says so of the whole tree."""

Kind = Mode | ComplianceTest
"""Kind of a run: what its logs are in the tree."""


@dataclass(frozen=True)
class Organisation:
    """Part of a tree that one submitter has in one division. layout: of the round."""

    layout: TreeLayout
    division: Division
    submitter: str

    @property
    def root(self) -> PurePosixPath:
        """The folder of all its files."""
        return PurePosixPath(self.division, self.submitter)

    @property
    def results(self) -> PurePosixPath:
        """One folder for each system."""
        return self.root / "results"

    @property
    def systems(self) -> PurePosixPath:
        """One description for each system."""
        return self.root / "systems"

    @property
    def source(self) -> PurePosixPath:
        """One folder for each benchmark: how its results were made."""
        return self.root / self.layout.source

    @property
    def documentation(self) -> PurePosixPath:
        """What belongs to no single system or benchmark."""
        return self.root / "documentation"

    @property
    def calibration(self) -> PurePosixPath:
        """The description of how weights were quantized."""
        return self.documentation / "calibration.md"

    @property
    def model_mapping(self) -> PurePosixPath:
        """Own names of benchmarks → the round's; open division only."""
        return self.root / "model_mapping.json"

    def system(self, name: str) -> PurePosixPath:
        """The description of a system."""
        return self.systems / f"{name}.json"

    def entry(self, system: str, benchmark: str, scenario: Scenario) -> "EntryPlace":
        """The place of a benchmark's scenario on a system."""
        return EntryPlace(self, system, benchmark, scenario)


@dataclass(frozen=True)
class EntryPlace:
    """Place of one scenario of a benchmark on a system: what the checkers look at as one result."""

    organisation: Organisation
    system: str
    benchmark: str
    scenario: Scenario

    @property
    def results(self) -> PurePosixPath:
        """The folder of its logs."""
        return self.organisation.results / self.system / self.benchmark / self.scenario

    @property
    def performance(self) -> PurePosixPath:
        """The logs of the performance run."""
        return _performance(self.results)

    @property
    def accuracy(self) -> PurePosixPath:
        """The logs of the accuracy run."""
        return self.results / "accuracy"

    @property
    def measurements(self) -> PurePosixPath:
        """The folder of its settings, and of the facts of its model."""
        return self._filled(self.organisation.layout.measurements)

    @property
    def measurements_file(self) -> PurePosixPath:
        """The facts of its model: weights and their types."""
        return self.measurements / self.organisation.layout.measurements_file.format(system=self.system)

    @property
    def compliance(self) -> PurePosixPath:
        """The folder of its compliance tests."""
        return self._filled(self.organisation.layout.compliance)

    def test(self, test: ComplianceTest) -> PurePosixPath:
        """The folder of a compliance test, with its verdicts."""
        return self.compliance / test

    def test_accuracy(self, test: ComplianceTest) -> PurePosixPath:
        """The answers that a compliance test logged."""
        return self.test(test) / "accuracy"

    def logs(self, kind: Kind) -> PurePosixPath:
        """The folder of the logs of a run of *kind*."""
        if isinstance(kind, ComplianceTest):
            return _performance(self.test(kind))
        return self.accuracy if kind is Mode.ACCURACY else self.performance

    def _filled(self, template: str) -> PurePosixPath:
        words = {"system": self.system, "benchmark": self.benchmark, "scenario": self.scenario}
        return self.organisation.root / template.format(**words)


def _performance(folder: PurePosixPath) -> PurePosixPath:
    return folder / "performance" / "run_1"
