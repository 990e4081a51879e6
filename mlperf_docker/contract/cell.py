"""Cell of an image: the fields of images.yaml that the harness reads, as cell.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlperf_docker.contract import json_values
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.options import Declared
from mlperf_docker.contract.scores import Target
from mlperf_docker.contract.words import ComplianceTest, ModelFormat, Precision


@dataclass(frozen=True)
class OfficialFile:
    """An official model file: its name below /models and its checksums, None if upstream published none."""

    name: str
    precision: Precision
    format: ModelFormat
    md5: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class ComplianceTests:
    """Compliance tests that rounds ask of a benchmark, and what they take."""

    tests: tuple[ComplianceTest, ...] = ()
    sampling_target: int = 0
    """About how many answers TEST01 logs; 0 without TEST01."""


@dataclass(frozen=True)
class Cell:
    """Model, backend and device, and what images.yaml says of them."""

    model: str
    backend: str
    device: Device
    loadgen_key: str
    """The model's name in mlperf.conf."""
    precisions: tuple[Precision, ...] = (Precision.FP32,)
    accuracy: tuple[Target, ...] = ()
    """The targets of the closed division; none if unknown."""
    options: Mapping[str, tuple[Declared, ...]] = field(default_factory=dict)
    """Command of the harness → the options that only this model has for it."""
    compliance: ComplianceTests = ComplianceTests()
    files: tuple[OfficialFile, ...] = ()
    """The official files for the backend; the first of a precision is the one that a run takes."""

    def target(self, metric: str) -> Target | None:
        """The targets of *metric*, or None where they are not known."""
        return next((each for each in self.accuracy if each.metric == metric), None)

    def official(self, precision: str) -> OfficialFile | None:
        """The official file for *precision*, or None where there is none."""
        return next((file for file in self.files if file.precision == precision), None)

    def to_json(self) -> str:
        """The text of cell.json."""
        return json.dumps(json_values.fields(self), indent=2, ensure_ascii=False) + "\n"


def from_json(text: str) -> Cell:
    """Read the text of a cell.json. Raises ValueError if it describes no cell."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise json_values.MalformedError("it is no JSON object")
    return json_values.read(Cell, found)
