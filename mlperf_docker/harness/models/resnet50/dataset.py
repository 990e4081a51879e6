"""ImageNet's validation set as MLPerf lays it out: a folder of images and val_map.txt."""

from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.harness.errors import DatasetError, first_ten
from mlperf_docker.harness.images import check_files

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


def open_imagenet(root: Path, *, limit: int | None = None) -> ImageNet:
    """Read val_map.txt and check that each image (or of the first *limit* ones) is there. Raises DatasetError."""
    entries = parse_map(_read_map(root))[:limit]
    names = tuple(name for name, _ in entries)
    labels = tuple(label for _, label in entries)
    files = check_files(root, names, listed_in=MAP, extra=map(str, labels))
    return ImageNet(root, names, labels, files.sizes, files.identity)
