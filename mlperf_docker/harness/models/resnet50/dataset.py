"""ImageNet's validation set as MLPerf lays it out: a folder of images and val_map.txt."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.harness.errors import DatasetError, first_ten
from mlperf_docker.harness.models.resnet50.preprocess import ImageReader

MAP = "val_map.txt"
CLASSES = 1000


@dataclass(frozen=True, slots=True)
class ImageNet:
    """Image files below *root* with their labels (0..999). The position in val_map.txt is the sample's index.

    identity: a digest over names, labels, sizes and times; the same data at another path has the same identity.
    """

    root: Path
    names: tuple[str, ...]
    labels: tuple[int, ...]
    sizes: tuple[int, ...]
    identity: str

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.names)


def parse_map(text: str) -> list[tuple[str, int]]:
    """File names and labels of a val_map.txt. Raises DatasetError with the numbers of all bad lines."""
    entries, bad = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        problem = _problem(line)
        if problem:
            bad.append(f"line {number}: {problem}")
        else:
            name, label = line.split()
            entries.append((name, int(label)))
    if bad:
        raise DatasetError(
            f"{MAP} has {len(bad)} malformed {'line' if len(bad) == 1 else 'lines'}",
            hint="Each line is a file name and a label from 0 to 999, like: ILSVRC2012_val_00000001.JPEG 65",
            details=first_ten(bad),
        )
    if not entries:
        raise DatasetError(f"{MAP} names no image: it is empty")
    return entries


def _problem(line: str) -> str | None:
    columns = line.split()
    if len(columns) != 2:
        return f"{len(columns)} columns, not 2: {line.strip()[:60]!r}"
    name, label = columns
    # int() would also take "1_0" and "+1", which no tool that writes this file means.
    if not (label.isascii() and label.isdigit()):
        return f"label {label[:20]!r} is not a number"
    if int(label) >= CLASSES:
        return f"label {label} is not in 0..{CLASSES - 1}"
    if name.startswith("/") or ".." in name.split("/"):
        return f"{name!r} leads out of the folder"
    return None


def _read_map(root: Path) -> str:
    if not root.is_dir():
        raise DatasetError(f"there is no data set folder {root}")
    try:
        return (root / MAP).read_text(encoding="utf-8")
    except FileNotFoundError:
        message = f"{root} is not ImageNet's validation set: {MAP} was not found there"
        hint = "It is val.txt of caffe_ilsvrc12.tar.gz, copied beside the images."
        raise DatasetError(message, hint=hint) from None
    except OSError as error:
        raise DatasetError(f"cannot read {root / MAP}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{root / MAP} is no text file: {error.reason} at byte {error.start}") from error


def _stat_all(root: Path, names: Sequence[str]) -> list[os.stat_result]:
    """File status of every image. Raises DatasetError where one is missing or empty, and then looks at all others too.

    So the user reads of every bad file at once, in seconds and not after a preprocessing that cannot succeed.
    """
    found, bad = [], {}
    for name in names:
        try:
            status = os.stat(f"{root}/{name}")  # noqa: PTH116 (50,000 Path objects cost as much as the calls)
        except OSError as error:
            bad[name] = "missing" if isinstance(error, FileNotFoundError) else str(error.strerror)
            continue
        if status.st_size == 0:
            bad[name] = "empty"
        found.append(status)
    if bad:
        bad |= _damaged(root, (name for name in names if name not in bad))
        raise DatasetError(
            f"{len(bad)} of {len(names)} images that {MAP} names are missing or damaged in {root}",
            hint="Complete the data set: leaving images out would change the benchmark.",
            details=first_ten([f"{name}: {bad[name]}" for name in names if name in bad]),
        )
    return found


def _damaged(root: Path, names: Iterable[str]) -> dict[str, str]:
    """What a quick look at each file finds."""
    reader = ImageReader(root, ())
    reader.prepare()
    problems = ((name, reader.glance(name)) for name in names)
    return {name: problem for name, problem in problems if problem}


def open_imagenet(root: Path, *, limit: int | None = None) -> ImageNet:
    """Read val_map.txt and check that each image (or of the first *limit* ones) is there. Raises DatasetError."""
    entries = parse_map(_read_map(root))[:limit]
    names = tuple(name for name, _ in entries)
    labels = tuple(label for _, label in entries)
    status = _stat_all(root, names)
    digest = hashlib.sha256()
    for name, label, file in zip(names, labels, status, strict=True):
        digest.update(f"{name}\t{label}\t{file.st_size}\t{file.st_mtime_ns}\n".encode())
    return ImageNet(root, names, labels, tuple(file.st_size for file in status), digest.hexdigest())
