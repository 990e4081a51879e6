"""ImageNet's validation set as MLPerf lays it out: a folder of images and val_map.txt."""

from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath

from mlperf_docker.harness.api.errors import DatasetError, first_ten
from mlperf_docker.harness.samples.images import check_files
from mlperf_docker.harness.system import data_files

MAP = "val_map.txt"
CLASSES = 1000
DIGITS = 3


@dataclass(frozen=True, slots=True)
class ImageNet:
    """Image files below *root* with their labels (0..999). The position in val_map.txt is the sample's index."""

    root: Path
    names: tuple[str, ...]
    labels: tuple[int, ...]
    sizes: tuple[int, ...]
    identity: str
    """A digest over names, labels, sizes and times; the same data at another path has the same identity."""

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.names)


def parse_map(text: str) -> list[tuple[str, int]]:
    """File names and labels of a val_map.txt. Raises DatasetError with the numbers of all bad lines."""
    entries, bad = [], []
    seen: set[str] = set()
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(lines, start=1):
        problem = _problem(line, seen)
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


def _problem(line: str, seen: set[str]) -> str | None:
    """Why a line cannot be; *seen* has the names so far, however they were spelt."""
    columns = line.split()
    if len(columns) != 2:
        return f"{len(columns)} columns, not 2: {data_files.shown(line.strip())}"
    name, label = columns
    # int() would also take "1_0" and "+1", which no tool that writes this file means.
    if not (label.isascii() and label.isdigit()):
        return f"label {data_files.shown(label)} is not a number"
    if len(label.lstrip("0")) > DIGITS:
        return f"label {label[:DIGITS]}… of {len(label)} digits is not in 0..{CLASSES - 1}"
    if int(label) >= CLASSES:
        return f"label {label} is not in 0..{CLASSES - 1}"
    problem = data_files.name_problem(name)
    if problem:
        return problem
    path = normpath(name)
    if path in seen:
        return f"{data_files.shown(name)} is there already"
    seen.add(path)
    return None


def _read_map(root: Path) -> str:
    if not root.is_dir():
        raise DatasetError(f"there is no data set folder {root}")
    hint = "It is val.txt of caffe_ilsvrc12.tar.gz, copied beside the images."
    try:
        return data_files.read_text(root / MAP, hint=hint)
    except data_files.MissingFile:
        message = f"{root} is not ImageNet's validation set: {MAP} was not found there"
        raise DatasetError(message, hint=hint) from None


def open_imagenet(root: Path, *, limit: int | None = None) -> ImageNet:
    """Read val_map.txt and check that each image (or of the first *limit* ones) is there. Raises DatasetError."""
    entries = parse_map(_read_map(root))[:limit]
    names = tuple(name for name, _ in entries)
    labels = tuple(label for _, label in entries)
    files = check_files(root, names, listed_in=MAP, extra=map(str, labels))
    return ImageNet(root, names, labels, files.sizes, files.identity)
