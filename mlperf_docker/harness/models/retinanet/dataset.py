"""OpenImages' validation images as MLPerf lays them out: a folder of images, and annotations in COCO's format."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import DatasetError, first_ten
from mlperf_docker.harness.models.retinanet.network import CLASSES
from mlperf_docker.harness.samples.images import check_files
from mlperf_docker.harness.system import data_files
from mlperf_docker.harness.system.data_files import shown

ANNOTATIONS = "annotations/openimages-mlperf.json"
FOLDERS = ("validation/data", ".")
"""Where file names may start from: the official layout has bare names, others have the folder in the name."""

_HINT = (
    "Take openimages-mlperf_annotations_2.1.json.zip of mlcommons/inference, or write the file again for your images."
)
_WORDS = {"images": "image", "annotations": "annotation", "categories": "category"}
LARGEST = 1_000_000
"""Pixels of a picture's side, and of a box's place. Boxes may reach out of their pictures: some official ones do."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """Boxes drawn by people, one row for each.

    Numbers are those of the file.
    """

    number: NDArray[np.int64]
    image: NDArray[np.int64]
    """Position of the image."""
    category: NDArray[np.int64]
    box: NDArray[np.float64]
    """Left, top, width, height in pixels."""
    area: NDArray[np.float64]
    crowd: NDArray[np.int64]
    """1 where a box holds a group, which counts neither for nor against anybody."""

    def of(self, chosen: NDArray[Any]) -> "Annotations":
        """The rows *chosen*, by mask or numbers."""
        parts = (self.number, self.image, self.category, self.box, self.area, self.crowd)
        return Annotations(*(part[chosen] for part in parts))


@dataclass(frozen=True, slots=True)
class OpenImages:
    """Image files below *folder*. The position in the file's `images` is the sample's index."""

    folder: Path
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    """The images' ids."""
    extents: NDArray[np.int64]
    """Heights and widths of the images as the file has them, (count, 2); scoring goes by these."""
    annotations: Annotations
    sizes: tuple[int, ...]
    identity: str
    """A digest over names, sizes and times; the same images at another path have the same identity."""

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
        raw = data_files.read_json(path, hint=_HINT, words=_WORDS)
    except data_files.MissingFile:
        message = f"{root} is not OpenImages as MLPerf has it: {ANNOTATIONS} was not found there"
        raise DatasetError(message, hint=_HINT) from None
    keys = ("images", "annotations", "categories")
    missing = [key for key in keys if not isinstance(raw, dict) or not isinstance(raw.get(key), list)]
    if missing:
        raise DatasetError(f"{path} lacks: {', '.join(missing)}", hint=_HINT)
    if not raw["images"]:
        raise DatasetError(f"{path} names no image: its list is empty", hint=_HINT)
    return {key: raw[key] for key in keys}


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_box(value: object) -> bool:
    """Left, top, width and height, of which the last two are not negative."""
    return isinstance(value, list) and len(value) == 4 and all(map(_is_number, value)) and min(value[2:]) >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _image_problem(image: Any) -> str | None:  # noqa: ANN401 (whatever a JSON file has)
    if not isinstance(image, dict):
        return "not an object"
    lacking = [key for key in ("id", "file_name", "height", "width") if key not in image]
    if lacking:
        return f"lacks {', '.join(lacking)}"
    problem = data_files.name_problem(image["file_name"])
    if problem:
        return f"file_name {problem}"
    if not _whole(image["id"]):
        return f"id {shown(image['id'])} is no whole number"
    if not all(_whole(image[key]) and 0 < image[key] <= LARGEST for key in ("height", "width")):
        return f"{shown(image['height'])} x {shown(image['width'])} is no size"
    return None


def _annotation_problem(entry: Any, images: Mapping[int, int], categories: frozenset[int]) -> str | None:  # noqa: ANN401
    if not isinstance(entry, dict):
        return "not an object"
    lacking = [key for key in ("id", "image_id", "category_id", "bbox", "area", "iscrowd") if key not in entry]
    if lacking:
        return f"lacks {', '.join(lacking)}"
    if not _is_box(entry["bbox"]):
        return f"bbox {shown(entry['bbox'])} is not left, top, width and height"
    area = entry["area"]
    if not isinstance(area, int | float) or isinstance(area, bool) or area < 0:
        return f"area {shown(area)} is no area"
    if entry["iscrowd"] not in (0, 1):
        return f"iscrowd {shown(entry['iscrowd'])} is neither 0 nor 1"
    if not _whole(entry["id"]):
        return f"id {shown(entry['id'])} is no whole number"
    if not _whole(entry["image_id"]) or entry["image_id"] not in images:
        return f"there is no image {shown(entry['image_id'])}"
    if not _whole(entry["category_id"]) or entry["category_id"] not in categories:
        return f"there is no category {shown(entry['category_id'])}"
    return None


def _category_problem(category: Any) -> str | None:  # noqa: ANN401
    number = category.get("id") if isinstance(category, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < CLASSES:
        return f"id {shown(number)} is not in 0..{CLASSES - 1}"
    return None


def _repeated(kind: str, entries: Sequence[Any], key: str = "id") -> Iterator[str]:
    values = [entry[key] if key == "id" else normpath(entry[key]) for entry in entries]
    for position, _ in data_files.twice(values):
        yield f"{kind} {position}: {key} {shown(entries[position][key])} is there already"


def _check(raw: Mapping[str, list[Any]], path: Path) -> None:
    """Raise DatasetError, with every problem counted and ten named, if scoring could not go by *raw*."""
    found = [f"image {at}: {why}" for at, image in enumerate(raw["images"]) if (why := _image_problem(image))]
    found += [
        f"category {at}: {why}" for at, entry in enumerate(raw["categories"]) if (why := _category_problem(entry))
    ]
    if not found:
        found += [*_repeated("image", raw["images"]), *_repeated("category", raw["categories"])]
        found += _repeated("image", raw["images"], "file_name")
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
