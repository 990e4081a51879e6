"""3D-UNet: the reference reads preprocessed cases from pickles, and what people marked from NIfTI files beside them."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.commands.folders import cache_folder
from mlperf_docker.harness.models.unet3d.preprocess import Volumes
from mlperf_docker.harness.system import entries
from mlperf_docker.reference_harness.models.files import Given

LISTED = "preprocessed_files.pkl"
META = "meta"
"""Lists of cases, which the reference wants in the folder that it is started in."""
_PROTOCOL = 4


def files(given: Given) -> Mapping[str, object]:
    """Our preprocessed cases in the reference's form, and its lists of cases in the working folder."""
    (given.work / META).symlink_to(given.checkout / given.reference.folder / META)
    made_from = {"data": given.dataset.identity, "cases": list(given.dataset.names)}
    folder = entries.entry(given.cache / f"preprocessed-{given.count}", made_from, lambda folder: _write(given, folder))
    return {"preprocessed": folder, "predictions": given.work / "predictions"}


def _write(given: Given, folder: Path) -> None:
    volumes: Volumes = given.benchmark.preprocess(
        given.dataset, None, cache_folder(given.options.folders.cache), workers=1, report=_unreported
    )
    for name, volume, marks in zip(volumes.names, volumes.volumes, volumes.marks, strict=True):
        write_case(folder, name, volume, marks)
    listed = {name: _described(name, shape) for name, shape in zip(volumes.names, volumes.shapes, strict=True)}
    _dump({"file_list": list(listed), "cases": listed}, folder / LISTED)


def _unreported(*progress: object) -> None:
    """Tell nobody: the harness reports what it preprocesses, and has done so where the cache is full."""


def write_case(folder: Path, name: str, volume: NDArray[np.float32], marks: NDArray[np.uint8]) -> None:
    """Write a case as *folder*/NAME.pkl, with its channel as first axis, and its marks as NIfTI."""
    _dump([np.array(volume)[None], np.array(marks)[None]], folder / f"{name}.pkl")
    place = folder / "nifti" / name
    place.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(np.array(marks), np.eye(4)), place / "segmentation.nii.gz")


def _described(name: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Facts about a case; where its voxels are in the patient does not matter to any score."""
    return {"case": name, "image_shape": (1, *shape), "original_affine": np.eye(4), "reshaped_affine": np.eye(4)}


def _dump(content: object, path: Path) -> None:
    with path.open("wb") as stream:
        pickle.dump(content, stream, protocol=_PROTOCOL)
