"""The manifest of upstream's converted set: a list of utterances whose order numbers LoadGen's samples.

Source: mlcommons/inference, speech_recognition/rnnt: dev-clean-wav.json, pytorch/utils/convert_librispeech.py and
pytorch/parts/manifest.py.
"""

import json
from pathlib import Path
from typing import Any, TypeVar

from mlperf_docker.harness.errors import BadSample, DatasetError
from mlperf_docker.harness.models.rnnt import sound, vocabulary
from mlperf_docker.harness.models.rnnt.features import RATE
from mlperf_docker.harness.models.rnnt.utterances import LONGEST_S, Utterance

Kind = TypeVar("Kind")

FILE = "dev-clean-wav.json"
FOLDER = "dev-clean-wav"
"""Beside the manifest; the names in it begin with this."""
HINT = "speech_recognition/rnnt of mlcommons/inference has the manifest of dev-clean, and what converts the sound."


def listed(root: Path, *, limit: int | None = None) -> tuple[list[Utterance], list[str]]:
    """The first *limit* utterances of up to 15 s in the manifest at *root*, and what is wrong with entries or files.

    Raises DatasetError for a manifest that is none.
    """
    utterances, problems = [], []
    for number, entry in enumerate(_entries(root / FILE)):
        try:
            utterance = _utterance(root, entry)
        except BadSample as problem:
            problems.append(f"entry {number} of {FILE}: {problem}")
            continue
        if utterance is not None:
            utterances.append(utterance)
    return utterances[:limit], problems


def _entries(path: Path) -> list[object]:
    try:
        entries = json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise DatasetError(f"{path} is no JSON: {error}", hint=HINT) from error
    if not isinstance(entries, list) or not entries:
        raise DatasetError(f"{path} is no list of utterances", hint=HINT)
    return entries


def _utterance(root: Path, entry: object) -> Utterance | None:
    """The utterance, or None if it is too long to count. Raises BadSample for an entry that cannot be."""
    if not isinstance(entry, dict):
        raise BadSample("no object with files, original_duration and transcript")
    duration = _field(entry, "original_duration", float, int)
    transcript = _field(entry, "transcript", str)
    files = [file for file in _field(entry, "files", list) if isinstance(file, dict) and file.get("speed", 1) == 1]
    if not files:
        raise BadSample("none of its files is at speed 1")
    name = _field(files[0], "fname", str)
    count = _field(files[0], "num_samples", int)
    if abs(duration - count / RATE) > 1 / RATE:
        raise BadSample(f"{name} cannot have both {duration} s and {count} samples of {RATE} Hz")
    if duration > LONGEST_S:
        return None
    return Utterance(_existing(root / name), vocabulary.clean(transcript), count)


def _field(entry: dict[str, Any], key: str, *kinds: type[Kind]) -> Kind:
    if key not in entry:
        raise BadSample(f'it has no "{key}"')
    value = entry[key]
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise BadSample(f'its "{key}" is {json.dumps(value)[:40]}')
    return value


def _existing(path: Path) -> Path:
    """The file, or the same sound in the other format, say where it was not converted; *path* if there is neither."""
    other = (path.with_suffix(suffix) for suffix in sound.SUFFIXES)
    return path if path.exists() else next((each for each in other if each.exists()), path)
