"""Runs that a compliance run is held to: their logs, and the settings that it takes over."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.contract import detail_log
from mlperf_docker.contract.compliance import PARTS
from mlperf_docker.contract.detail_log import DetailLog
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.samples import accuracy_log

_RESULT = "result.json"
_USER_CONF = "user.conf"


@dataclass(frozen=True)
class Reference:
    """An earlier run of the same benchmark."""

    folder: Path
    fields: Mapping[str, Any]
    """Its result.json."""

    @property
    def log(self) -> DetailLog:
        """Its detail log."""
        return detail_log.read(self.folder)

    @property
    def accuracy_log(self) -> Path:
        """Its accuracy log."""
        return self.folder / accuracy_log.NAME

    @property
    def settings(self) -> Mapping[str, Any]:
        """What LoadGen and the harness were told, or measured."""
        found = self.fields.get("settings")
        return found if isinstance(found, dict) else {}

    @property
    def seeds(self) -> Mapping[str, int]:
        """LoadGen's seeds."""
        found = self.fields.get("seeds")
        return {name: seed for name, seed in found.items() if isinstance(seed, int)} if isinstance(found, dict) else {}

    @property
    def user_conf(self) -> str:
        """The text of its user.conf."""
        return (self.folder / _USER_CONF).read_text(encoding="utf-8")

    @property
    def batch_size(self) -> int | None:
        """Its largest batch, of parts of samples where the model takes those; None if it does not tell."""
        return _number(self.settings, PARTS) or _number(self.settings, "batch_size")

    @property
    def instances(self) -> int | None:
        """Copies of the model; None if it does not tell."""
        return _number(self.settings, "instances")

    @property
    def threads(self) -> int | None:
        """Threads of each copy; None if it does not tell."""
        return _number(self.settings, "threads")

    def differences(self, wanted: Mapping[str, object]) -> list[str]:
        """Which keys of its result are not as *wanted*, in words."""
        found = ((key, self.fields.get(key), value) for key, value in wanted.items())
        return [f"its {key} is {was}, not {value}" for key, was, value in found if was != value]

    def check_samples(self, count: int) -> None:
        """Raise UsageError where it was of another number of samples of the data set; older runs do not tell."""
        theirs = _number(self.settings, "dataset_samples")
        if theirs not in (None, count):
            raise UsageError(
                f"the run in {self.folder} used {theirs} samples of the data set, and this one has {count}",
                hint=f"Give --samples {theirs}, or name a run of as many: --performance-run, --accuracy-run.",
            )


def read(folder: Path, wanted: Mapping[str, object], files: tuple[str, ...]) -> Reference:
    """The run in *folder*. Raises UsageError where it lacks *files*, or its result has other values than *wanted*."""
    missing = [name for name in (_RESULT, *files) if not (folder / name).is_file()]
    if missing:
        raise UsageError(f"{folder} is not the folder of a run: it has no {' and no '.join(missing)}")
    try:
        fields = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{folder / _RESULT} is no JSON: {error}") from error
    found = Reference(folder, fields if isinstance(fields, dict) else {})
    differences = found.differences(wanted)
    if differences:
        raise UsageError(f"the run in {folder} is another: {'; '.join(differences)}")
    return found


def performance(folder: Path, wanted: Mapping[str, object]) -> Reference:
    """The performance run in *folder*. Raises UsageError."""
    found = read(folder, wanted, (detail_log.NAME, _USER_CONF))
    if found.fields.get("compliance"):
        raise UsageError(f"the run in {folder} is a compliance run itself", hint="Name the performance run before it.")
    return found


def accuracy(folder: Path, wanted: Mapping[str, object]) -> Reference:
    """The accuracy run in *folder*. Raises UsageError."""
    return read(folder, wanted, (accuracy_log.NAME,))


def _number(settings: Mapping[str, Any], key: str) -> int | None:
    value = settings.get(key)
    return value if isinstance(value, int) and value > 0 else None
