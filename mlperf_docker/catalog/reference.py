"""Reference implementation of a model in the catalog: where it is in a checkout, how it is started, what it needs."""

import re
import string
from collections.abc import Iterable, Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from mlperf_docker.catalog.fields import FileName, Frozen, Name, Requirement, Url, Variable
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import Mode, ModelFormat, Precision, Scenario
from mlperf_docker.reference_contract.reference import Numbers, ReferenceImplementation, Scoring, Sign

Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
DottedName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
OperatorSchema = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*::[A-Za-z_]\w*\(.*\) -> .+$")]
CheckoutPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$")]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern


def _template(word: str) -> str:
    try:
        list(string.Formatter().parse(word))
    except ValueError as error:
        raise ValueError(f"not a word with placeholders: {error}") from error
    return word


Pattern = Annotated[str, AfterValidator(_compiles)]
Word = Annotated[str, Field(min_length=1), AfterValidator(_template)]


class SignEntry(Frozen):
    """`signs[]`: words in what the reference prints."""

    pattern: Pattern
    says: Annotated[str, Field(min_length=1)]
    invalid: bool = False
    device: Device | None = None


class ScoringEntry(Frozen):
    """`scoring`: the script that scores an accuracy log."""

    script: CheckoutPath
    arguments: tuple[Word, ...]
    values: dict[str, Pattern] = Field(min_length=1)
    """Metric → pattern whose first group is its value."""
    whole: str = ""
    """Sentence on what the script prints of the whole log, where the score is that of a part of it."""


class ModelCodeEntry(Frozen):
    """`model_code`: modules that a reference imports out of a second folder of the user's."""

    title: Annotated[str, Field(min_length=1)]
    url: Url
    """The repository to clone."""
    commit: Commit
    """Commit that the reference was tried with."""
    variable: Variable
    """Variable that names the folder where no option does."""
    files: tuple[CheckoutPath, ...] = Field(min_length=1)
    """Modules by which the folder is told."""


class ReferenceOnDevice(Frozen):
    """`devices.<device>`: what the reference takes on one device, and whether it can run on it."""

    unsupported: str = ""
    """Why the reference cannot run on it, in one sentence; empty if it can."""
    arguments: tuple[Word, ...] = ()
    environment: dict[Variable, Word] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _runs_or_says_why(self) -> Self:
        if self.unsupported and len(self.model_fields_set) > 1:
            raise ValueError("a device that is unsupported has only the reason")
        return self


class OnBackend(Frozen):
    """`backends.<backend>`: what the reference takes on one backend; what it says goes before the model's."""

    unsupported: str = ""
    """Why the reference cannot run on it, in one sentence; empty if it can."""
    arguments: tuple[Word, ...] = ()
    """More words of the command line."""
    modes: dict[Mode, tuple[Word, ...]] = Field(default_factory=dict)
    precisions: dict[Precision, tuple[Word, ...]] = Field(default={Precision.FP32: ()})
    """Precision that it has → more words."""
    environment: dict[Variable, Word] = Field(default_factory=dict)
    devices: dict[Device, ReferenceOnDevice] = Field(default_factory=dict)
    """Device → what it takes there beyond this; one that is not listed takes nothing more."""
    model_format: ModelFormat | None = None
    model_name: FileName | None = None
    restored: dict[DottedName | OperatorSchema, DottedName] = Field(default_factory=dict)
    adapted: dict[DottedName, DottedName] = Field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    """What the reference imports and the cell's image has not."""
    index: Url | None = None
    """Index that has wheels of these which the public one lacks; None for that of the cell's backend, if it has one."""
    own_venv: bool = False
    """Whether these do not fit beside the harness's packages; then they are all that the reference has."""
    signs: tuple[SignEntry, ...] = ()
    remarks: tuple[str, ...] = ()
    commit: Commit | None = None
    """None: the model's."""
    tag: str | None = None
    folder: CheckoutPath | None = None
    script: CheckoutPath | None = None

    @model_validator(mode="after")
    def _runs_or_says_why(self) -> Self:
        if self.unsupported and len(self.model_fields_set) > 1:
            raise ValueError("a backend that is unsupported has only the reason")
        if (self.model_format is None) is not (self.model_name is None):
            raise ValueError("model_format and model_name belong together")
        return self


class ReferenceSpec(Frozen):
    """Reference implementation of one model."""

    commit: Commit
    """Commit of mlcommons/inference that it was tried with."""
    tag: str | None = None
    """Tag of that commit, for one that no longer has its folder; None for the main branch."""
    folder: CheckoutPath
    script: CheckoutPath
    arguments: tuple[Word, ...]
    modes: dict[Mode, tuple[Word, ...]] = Field(default_factory=dict)
    scenarios: dict[Scenario, tuple[Word, ...]] = Field(default_factory=dict)
    environment: dict[Variable, Word] = Field(default_factory=dict)
    model_code: ModelCodeEntry | None = None
    devices: dict[Device, ReferenceOnDevice] = Field(default_factory=dict)
    """Device → what it takes there on each backend."""
    scoring: ScoringEntry
    signs: tuple[SignEntry, ...] = ()
    remarks: tuple[str, ...] = ()
    restored: dict[DottedName | OperatorSchema, DottedName] = Field(default_factory=dict)
    """Name, or schema of an operator, that its code uses and the packages do not have → where the same thing is."""
    adapted: dict[DottedName, DottedName] = Field(default_factory=dict)
    """Call that means something else in today's packages → the function that gives it its old meaning."""
    answers: Numbers = Numbers.FLOAT32
    """Numbers in its answers."""
    empty_answers: bool = False
    """Whether an answer may be nothing; else a sample that was answered so counts as a failed one."""
    backends: dict[Name, OnBackend]

    def on(self, backend: str) -> OnBackend:
        """What it takes on *backend*; a backend that is not listed is unsupported."""
        return self.backends.get(backend) or OnBackend(unsupported=f"the reference has no code for {backend}")

    def tag_on(self, backend: str) -> str | None:
        """The tag whose checkout has the code for *backend*; None for the main branch."""
        on = self.on(backend)
        return on.tag if on.commit else self.tag

    def why_not(self, backend: str, device: Device) -> str:
        """Why it cannot run on *backend* and *device*, in one sentence; empty if it can."""
        on = self.on(backend)
        return on.unsupported or next((each.unsupported for each in self._devices(on, device) if each.unsupported), "")

    def _devices(self, on: OnBackend, device: Device) -> tuple[ReferenceOnDevice, ...]:
        """What it takes on *device*, the model's before the backend's."""
        return tuple(each.devices.get(device, ReferenceOnDevice()) for each in (self, on))

    def described(self, backend: str, device: Device = Device.CPU) -> ReferenceImplementation:
        """The reference on *backend* and *device* as its harness knows it."""
        on = self.on(backend)
        of_model, of_backend = self._devices(on, device)
        return ReferenceImplementation(
            commit=on.commit or self.commit,
            folder=on.folder or self.folder,
            script=on.script or self.script,
            arguments=(*on.arguments, *of_backend.arguments, *self.arguments, *of_model.arguments),
            scoring=Scoring(self.scoring.script, self.scoring.arguments, self.scoring.values, self.scoring.whole),
            modes={mode.value: (*on.modes.get(mode, ()), *self.modes.get(mode, ())) for mode in Mode},
            scenarios={scenario.value: words for scenario, words in self.scenarios.items()},
            precisions={precision.value: words for precision, words in on.precisions.items()},
            environment={**self.environment, **of_model.environment, **on.environment, **of_backend.environment},
            model_format=on.model_format,
            model_name=on.model_name or "",
            signs=tuple(_signs((*on.signs, *self.signs))),
            remarks=(*on.remarks, *self.remarks),
            own_venv=on.own_venv,
            restored={**self.restored, **on.restored},
            adapted={**self.adapted, **on.adapted},
            answers=self.answers,
            empty_answers=self.empty_answers,
            code_files=self.model_code.files if self.model_code else (),
        )


def _signs(entries: Iterable[SignEntry]) -> Iterator[Sign]:
    return (Sign(each.pattern, each.says, each.invalid, each.device or "") for each in entries)
