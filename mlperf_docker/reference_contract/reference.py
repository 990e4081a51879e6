"""Reference implementation of a benchmark on a backend, as images.yaml describes it: reference.json of the layer.

A word of its command line may have placeholders, `--output={output}`; one whose placeholder has no value in a run is
left out. PLACEHOLDERS are always known; what prepares the files of a model may know more.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mlperf_docker.contract import json_values
from mlperf_docker.contract.words import ModelFormat

PLACEHOLDERS: Mapping[str, str] = {
    "accuracy_log": "mlperf_log_accuracy.json",
    "batch_size": "largest batch, if the run says one",
    "cache": "folder for preprocessed data, which later runs find again",
    "checkout": "the checkout",
    "code": "folder of the model code, for a reference that has some apart from the checkout",
    "data": "folder of the data set",
    "device": "cpu or cuda",
    "mode": "performance or accuracy",
    "model": "model file in the form that the reference reads",
    "output": "folder for LoadGen's logs",
    "performance_samples": "samples that LoadGen holds at once",
    "samples": "size of the data set that is used",
    "scenario": "SingleStream, MultiStream, Server or Offline",
    "threads": "threads, or processors",
    "user_conf": "LoadGen's user.conf of the run",
    "work": "folder for what is made for this run alone",
}
"""Placeholder → what stands for it."""


class Numbers(StrEnum):
    """Type of the numbers that answers in an accuracy log consist of."""

    FLOAT32 = "float32"
    INT64 = "int64"
    UINT8 = "uint8"


UNASKED = -10000.0
"""What our harness answers of a place in a sample that the model was not asked about, such as padding."""


@dataclass(frozen=True)
class Sign:
    """Words in what the reference prints, and what they mean for a result."""

    pattern: str
    """Regular expression, looked for in each line."""
    says: str
    """Sentence for the user; `{count}` is how many lines had it, `{1}` the first group of the last one."""
    invalid: bool = False
    """Whether a run with it does not count."""
    device: str = ""
    """Device of the runs in which it means something; empty for all."""


@dataclass(frozen=True)
class Scoring:
    """Script that scores an accuracy log."""

    script: str
    """Path in the checkout."""
    arguments: tuple[str, ...]
    values: Mapping[str, str]
    """Metric → regular expression for the output; its first group is the value, in the metric's unit."""
    whole: str = ""
    """Sentence on what the script prints of the whole log, its `{line}`, where the score is that of a part of it."""


@dataclass(frozen=True)
class ReferenceImplementation:
    """Reference implementation on one backend."""

    commit: str
    """Commit of the checkout that it was tried with."""
    folder: str
    """Folder in the checkout, where it is started."""
    script: str
    """Path of the entry script in the checkout's folder."""
    arguments: tuple[str, ...]
    scoring: Scoring
    modes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Mode → more words."""
    scenarios: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Scenario → more words; empty if it takes all scenarios alike."""
    precisions: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"fp32": ()})
    """Precision that it has → more words."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables; they may have placeholders too."""
    model_format: ModelFormat | None = None
    """Form of the model file that it reads; None where its own code prepares the files."""
    model_name: str = ""
    """What the file must be called."""
    signs: tuple[Sign, ...] = ()
    remarks: tuple[str, ...] = ()
    """What is to be known of every result of it, a sentence each."""
    own_venv: bool = False
    """Whether its packages are in a virtual environment of their own."""
    restored: Mapping[str, str] = field(default_factory=dict)
    """Name, or schema of an operator, that its code uses and the packages do not have → where the same thing is."""
    adapted: Mapping[str, str] = field(default_factory=dict)
    """Call that means something else in today's packages → the function that gives it its old meaning."""
    answers: Numbers = Numbers.FLOAT32
    empty_answers: bool = False
    """Whether an answer may be nothing."""
    code_files: tuple[str, ...] = ()
    """Modules of its model code, which is in a folder of its own; empty if all is in the checkout."""

    def to_json(self) -> str:
        """The text of reference.json."""
        return json.dumps(json_values.fields(self), indent=2, ensure_ascii=False) + "\n"


def from_json(text: str) -> ReferenceImplementation:
    """Read the text of a reference.json. Raises ValueError if it describes no reference."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise json_values.MalformedError("it is no JSON object")
    return json_values.read(ReferenceImplementation, found)
