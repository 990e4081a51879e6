"""OpenImages' validation images as MLPerf lays them out: a folder of images, and annotations in COCO's format."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.errors import DatasetError, first_ten
from mlperf_docker.harness.images import check_files
from mlperf_docker.harness.models.retinanet.network import CLASSES

ANNOTATIONS = "annotations/openimages-mlperf.json"
FOLDERS = ("validation/data", ".")
"""Where file names may start from: the official layout has bare names, others have the folder in the name."""

_HINT = (
    "Take openimages-mlperf_annotations_2.1.json.zip of mlcommons/inference, or write the file again for your images."
)


@dataclass(frozen=True, slots=True)
class Annotations:
    """Boxes drawn by people, one row for each. image: position of the image; box: left, top, width, height in pixels.

    Numbers are those of the file. crowd: 1 where a box holds a group, which counts neither for nor against anybody.
    """

    number: NDArray[np.int64]
    image: NDArray[np.int64]
    category: NDArray[np.int64]
    box: NDArray[np.float64]
    area: NDArray[np.float64]
    crowd: NDArray[np.int64]

    def of(self, chosen: NDArray[Any]) -> "Annotations":
        """The rows *chosen*, by mask or numbers."""
        parts = (self.number, self.image, self.category, self.box, self.area, self.crowd)
        return Annotations(*(part[chosen] for part in parts))


@dataclass(frozen=True, slots=True)
class OpenImages:
    """Image files below *folder*. The position in the file's `images` is the sample's index.

    numbers: the images' ids. extents: their heights and widths as the file has them, (count, 2); scoring goes by these.
    identity: a digest over names, sizes and times; the same images at another path have the same identity.
    """

    folder: Path
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    extents: NDArray[np.int64]
    annotations: Annotations
    sizes: tuple[int, ...]
    identity: str

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.names)


def _load(root: Path) -> Mapping[str, list[Any]]:
    """The three lists of the annotation file. Raises DatasetError."""
    path = root / ANNOTATIONS
    if not root.is_dir():
        raise DatasetError(f"there is no data set folder {root}")
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError:
        message = f"{root} is not OpenImages as MLPerf has it: {ANNOTATIONS} was not found there"
        raise DatasetError(message, hint=_HINT) from None
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise DatasetError(f"{path} is no JSON: {error}", hint=_HINT) from error
    keys = ("images", "annotations", "categories")
    missing = [key for key in keys if not isinstance(raw, dict) or not isinstance(raw.get(key), list)]
    if missing:
        raise DatasetError(f"{path} lacks: {', '.join(missing)}", hint=_HINT)
    if not raw["images"]:
        raise DatasetError(f"{path} names no image: its list is empty", hint=_HINT)
    return {key: raw[key] for key in keys}


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _image_problem(image: Any) -> str | None:  # noqa: ANN401 (whatever a JSON file has)
    if not isinstance(image, dict):
        return "not an object"
    lacking = [key for key in ("id", "file_name", "height", "width") if key not in image]
    if lacking:
        return f"lacks {', '.join(lacking)}"
    name = image["file_name"]
    if not isinstance(name, str) or not name:
        return f"file_name {name!r} is no name"
    if name.startswith("/") or ".." in name.split("/"):
        return f"{name!r} leads out of the folder"
    if not _whole(image["id"]):
        return f"id {image['id']!r} is no whole number"
    if not all(_whole(image[key]) and image[key] > 0 for key in ("height", "width")):
        return f"{image['height']!r} x {image['width']!r} is no size"
    return None


def _annotation_problem(entry: Any, images: Mapping[int, int], categories: frozenset[int]) -> str | None:  # noqa: ANN401
    if not isinstance(entry, dict):
        return "not an object"
    lacking = [key for key in ("id", "image_id", "category_id", "bbox", "area", "iscrowd") if key not in entry]
    if lacking:
        return f"lacks {', '.join(lacking)}"
    box = entry["bbox"]
    if not (isinstance(box, list) and len(box) == 4 and all(map(_finite, box))):
        return f"bbox {box!r} is not four numbers"
    if not _finite(entry["area"]):
        return f"area {entry['area']!r} is no number"
    if entry["iscrowd"] not in (0, 1):
        return f"iscrowd {entry['iscrowd']!r} is neither 0 nor 1"
    if not _whole(entry["id"]):
        return f"id {entry['id']!r} is no whole number"
    if entry["image_id"] not in images:
        return f"there is no image {entry['image_id']!r}"
    if entry["category_id"] not in categories:
        return f"there is no category {entry['category_id']!r}"
    return None


def _category_problem(category: Any) -> str | None:  # noqa: ANN401
    number = category.get("id") if isinstance(category, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < CLASSES:
        return f"id {number!r} is not in 0..{CLASSES - 1}"
    return None


def _repeated(kind: str, entries: Sequence[Any]) -> Iterator[str]:
    seen: set[object] = set()
    for position, entry in enumerate(entries):
        number = entry["id"]
        if number in seen:
            yield f"{kind} {position}: id {number} is there already"
        seen.add(number)


def _check(raw: Mapping[str, list[Any]], path: Path) -> None:
    """Raise DatasetError, with every problem counted and ten named, if scoring could not go by *raw*."""
    found = [f"image {at}: {why}" for at, image in enumerate(raw["images"]) if (why := _image_problem(image))]
    found += [
        f"category {at}: {why}" for at, entry in enumerate(raw["categories"]) if (why := _category_problem(entry))
    ]
    if not found:
        found += [*_repeated("image", raw["images"]), *_repeated("category", raw["categories"])]
    if not found:
        images = {image["id"]: position for position, image in enumerate(raw["images"])}
        categories = frozenset(category["id"] for category in raw["categories"])
        problems = (_annotation_problem(entry, images, categories) for entry in raw["annotations"])
        found += [f"annotation {position}: {why}" for position, why in enumerate(problems) if why]
    if not found:
        found += _repeated("annotation", raw["annotations"])
    if found:
        count = f"{len(found)} {'entry' if len(found) == 1 else 'entries'}"
        raise DatasetError(f"{path} has {count} that cannot be right", hint=_HINT, details=first_ten(found))


def _columns(entries: Sequence[Mapping[str, Any]], images: Mapping[int, int]) -> Annotations:
    """The annotations of *images* (id to position) as arrays, in the order of the file."""
    mine = [entry for entry in entries if entry["image_id"] in images]
    return Annotations(
        number=np.array([entry["id"] for entry in mine], dtype=np.int64),
        image=np.array([images[entry["image_id"]] for entry in mine], dtype=np.int64),
        category=np.array([entry["category_id"] for entry in mine], dtype=np.int64),
        box=np.array([entry["bbox"] for entry in mine], dtype=np.float64).reshape(-1, 4),
        area=np.array([entry["area"] for entry in mine], dtype=np.float64),
        crowd=np.array([entry["iscrowd"] for entry in mine], dtype=np.int64),
    )


def open_openimages(root: Path, *, limit: int | None = None) -> OpenImages:
    """Read the annotations and check that each image (or of the first *limit* ones) is there. Raises DatasetError.

    An image that is missing is an error: leaving it out would shift all later samples against the annotations.
    """
    raw = _load(root)
    _check(raw, root / ANNOTATIONS)
    images = raw["images"][:limit]
    names = tuple(image["file_name"] for image in images)
    folder = next((root / part for part in FOLDERS if (root / part / names[0]).is_file()), root / FOLDERS[0])
    files = check_files(folder, names, listed_in=ANNOTATIONS)
    return OpenImages(
        folder=folder,
        names=names,
        numbers=tuple(image["id"] for image in images),
        extents=np.array([(image["height"], image["width"]) for image in images], dtype=np.int64),
        annotations=_columns(raw["annotations"], {image["id"]: position for position, image in enumerate(images)}),
        sizes=files.sizes,
        identity=files.identity,
    )
