"""dev-clean as unpacked from its archive: a folder per chapter, with FLAC files and their text."""

import re
from collections.abc import Iterator
from pathlib import Path

from mlperf_docker.harness.api.errors import BadSample
from mlperf_docker.harness.models.rnnt import chapters, sound, vocabulary
from mlperf_docker.harness.models.rnnt.utterances import LONGEST, Utterance
from mlperf_docker.harness.system import data_files

FOLDERS = ("LibriSpeech/dev-clean", "dev-clean", ".")


def folder(root: Path) -> Path | None:
    """The folder of the speakers, or None if there is none: *root* may be that, or one of those above it."""
    for part in FOLDERS:
        if any((root / part / text(chapter)).exists() for chapter in chapters.OFFICIAL):
            return root / part
    return None


def text(chapter: str) -> str:
    """The file, below the folder of the speakers, with what is said in a chapter."""
    return f"{chapter}/{chapter.replace('/', '-')}.trans.txt"


def listed(place: Path, *, limit: int | None = None) -> tuple[list[Utterance], list[str]]:
    """The first *limit* utterances of up to 15 s, in the order of the shipped manifest, and what is wrong before them.

    place: the folder of the speakers. Looks at the beginning and the end of every sound file.
    """
    utterances: list[Utterance] = []
    problems: list[str] = []
    seen = 0
    for chapter in chapters.OFFICIAL:
        for path, transcript in _lines(place / text(chapter), problems):
            seen += 1
            try:
                count = sound.length(path)
            except BadSample as problem:
                problems.append(f"{path.name}: {problem}")
                continue
            if count <= LONGEST:
                utterances.append(Utterance(path, vocabulary.clean(transcript), count))
            if len(utterances) == limit:
                return utterances, problems
    if seen != chapters.UTTERANCES and not problems:
        problems.append(f"{seen} utterances in all chapters together, where dev-clean has {chapters.UTTERANCES}")
    return utterances, problems or chapters.miscounted(seen, len(utterances))


def _lines(path: Path, problems: list[str]) -> Iterator[tuple[Path, str]]:
    """Sound file and text of a chapter's utterances, in order; what is wrong with the chapter goes to *problems*.

    path: the chapter's text.
    """
    place, chapter = path.parent, path.name.split(".")[0]
    try:
        lines = data_files.decoded(data_files.content(path)).splitlines()
    except BadSample as problem:
        problems.append(f"{path.name}: {problem}")
        return
    said: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        name, _, transcript = line.partition(" ")
        if name in said:
            problems.append(f"{path.name}, line {number}: {name} is there already")
        elif re.fullmatch(rf"{chapter}-[0-9]+", name) and transcript.strip():
            said[name] = transcript
        elif line.strip():
            problems.append(f"{path.name}, line {number}: not the name of an utterance and its text")
    unsaid = sorted({each.stem for each in place.glob("*.flac")} - said.keys())
    problems += [f"{name}.flac: {path.name} has no text for it" for name in unsaid]
    yield from ((place / f"{name}.flac", said[name]) for name in sorted(said))
