"""Data set LibriSpeech dev-clean, in the order of the manifest, which gives LoadGen's sample indices."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.harness.api.errors import BadSample, DatasetError, first_ten
from mlperf_docker.harness.models.rnnt import archive, chapters, manifest
from mlperf_docker.harness.models.rnnt.features import RATE
from mlperf_docker.harness.models.rnnt.utterances import LONGEST_S, Utterance
from mlperf_docker.harness.system import data_files

_HINT = "Unpack dev-clean.tar.gz of www.openslr.org/12 and give the folder that holds LibriSpeech."


@dataclass(frozen=True, slots=True)
class LibriSpeech:
    """Utterances of up to 15 s whose sound files are there. The position in *utterances* is the sample's index."""

    utterances: tuple[Utterance, ...]
    sizes: tuple[int, ...]
    """Bytes of each file."""
    identity: str
    """A digest over names, lengths, sizes and times; the same files at another path have the same identity."""

    @property
    def count(self) -> int:
        """How many utterances there are."""
        return len(self.utterances)

    @property
    def seconds(self) -> float:
        """Of sound, all together."""
        return sum(utterance.num_samples for utterance in self.utterances) / RATE


def open_librispeech(root: Path, *, limit: int | None = None) -> LibriSpeech:
    """Look for every utterance (the first *limit* ones): those of the manifest at *root*, else of the unpacked archive.

    Raises DatasetError with everything that is missing or cannot be right. What the headers of a manifest's files say
    is looked at when they are read.
    """
    if not root.is_dir():
        raise DatasetError(f"there is no data set folder {root}")
    if (root / manifest.FILE).exists():
        utterances, problems = manifest.listed(root, limit=limit)
        hint = manifest.HINT
    else:
        utterances, problems = archive.listed(_speakers(root), limit=limit)
        hint = _HINT
    sizes, identity, missing = _identity(utterances)
    problems = [*problems, *missing]
    if problems:
        what = f"{root} has {len(problems)} utterances, texts or chapters that are missing or cannot be right"
        raise DatasetError(what, hint=hint, details=first_ten(problems))
    if not utterances:
        raise DatasetError(f"{root} has no utterance of up to {LONGEST_S:g} s")
    return LibriSpeech(tuple(utterances), sizes, identity)


def _speakers(root: Path) -> Path:
    """The folder of the speakers. Raises DatasetError where there is none."""
    place = archive.folder(root)
    if place is not None:
        return place
    if (root / manifest.FOLDER).is_dir() or root.name == manifest.FOLDER:
        raise DatasetError(f"{root} lacks {manifest.FILE}, which stands beside {manifest.FOLDER}", hint=manifest.HINT)
    what = f"it has neither {manifest.FILE} nor {archive.text(chapters.OFFICIAL[0])} or the text of another chapter"
    raise DatasetError(f"{root} is not LibriSpeech's dev-clean: {what}", hint=_HINT)


def _identity(utterances: Sequence[Utterance]) -> tuple[tuple[int, ...], str, list[str]]:
    """Bytes of each file, the digest over all, and which are missing."""
    digest, sizes, missing = hashlib.sha256(), [], []
    for utterance in utterances:
        try:
            status = data_files.status(utterance.path)
        except BadSample as problem:
            missing.append(f"{utterance.path.name}: {problem}")
            continue
        sizes.append(status.st_size)
        fields = (utterance.path.name, utterance.num_samples, status.st_size, status.st_mtime_ns)
        digest.update("\t".join(map(str, fields)).encode() + b"\n")
    return tuple(sizes), digest.hexdigest(), missing
