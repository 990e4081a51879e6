"""Manifest of upstream's converted set: utterances in the order of LoadGen's sample indices.

Source: mlcommons/inference, speech_recognition/rnnt: dev-clean-wav.json, pytorch/utils/convert_librispeech.py and
pytorch/parts/manifest.py.
"""

import json
from pathlib import Path
from typing import Any, TypeVar

from mlperf_docker.harness.api.errors import BadSample, DatasetError
from mlperf_docker.harness.models.rnnt import chapters, sound, vocabulary
from mlperf_docker.harness.models.rnnt.features import RATE, SHORTEST
from mlperf_docker.harness.models.rnnt.utterances import LONGEST_S, Utterance
from mlperf_docker.harness.system import data_files

Kind = TypeVar("Kind")

FILE = "dev-clean-wav.json"
FOLDER = "dev-clean-wav"
"""Beside the manifest; the names in it begin with this."""
MOST = 8 * data_files.MIB
"""Bytes of the manifest; the shipped one has 1.8 MB."""
HINT = "speech_recognition/rnnt of mlcommons/inference has the manifest of dev-clean, and what converts the sound."


def listed(root: Path, *, limit: int | None = None) -> tuple[list[Utterance], list[str]]:
    """The first *limit* utterances of up to 15 s in the manifest at *root*, and what is wrong with entries or files.

    Raises DatasetError for a manifest that is none.
    """
    entries = _entries(root / FILE)
    utterances: list[Utterance] = []
    problems: list[str] = []
    for number, entry in enumerate(entries):
        try:
            utterance = _utterance(root, entry)
        except BadSample as problem:
            problems.append(f"entry {number} of {FILE}: {problem}")
            continue
        if utterance is not None:
            utterances.append(utterance)
    paths = (utterance.path for utterance in utterances)
    repeated = (f"{FILE} has {path.name} twice" for _, path in data_files.twice(paths))
    problems = problems or [*repeated, *chapters.miscounted(len(entries), len(utterances))]
    return utterances[:limit], problems


def _entries(path: Path) -> list[object]:
    entries = data_files.read_json(path, most=MOST, hint=HINT)
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
    problem = data_files.name_problem(name)
    if problem:
        raise BadSample(problem)
    count = _field(files[0], "num_samples", int)
    if abs(duration - count / RATE) > 1 / RATE:
        raise BadSample(f"{name} cannot have both {duration} s and {count} samples of {RATE} Hz")
    if count < SHORTEST:
        raise BadSample(f"{count} samples, fewer than the {SHORTEST} that features need")
    if duration > LONGEST_S:
        return None
    return Utterance(_existing(root / name), vocabulary.clean(transcript), count)


def _field(entry: dict[str, Any], key: str, *kinds: type[Kind]) -> Kind:
    if key not in entry:
        raise BadSample(f'it has no "{key}"')
    value = entry[key]
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise BadSample(f'its "{key}" is {_as_json(value)}')
    return value


def _as_json(value: object) -> str:
    return json.dumps(value)[:40] if isinstance(value, str) else data_files.shown(value)


def _existing(path: Path) -> Path:
    """The file, or the same sound in the other format, say where it was not converted; *path* if there is neither."""
    other = (path.with_suffix(suffix) for suffix in sound.SUFFIXES)
    return path if path.exists() else next((each for each in other if each.exists()), path)
