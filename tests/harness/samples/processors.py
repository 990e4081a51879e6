"""Processors lesser than the one at hand, as settings of the libraries that have code for several.

The libraries read these settings when they are loaded, so `python -m tests.harness.samples.processors` works in a
process of its own. It repeats the tests that are marked `arithmetic`, and writes down what the preprocessing of every
model gives and which code the libraries say that they use.
"""

import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[1]
FILES = tuple(path for path in sorted(FOLDER.rglob("test_*.py")) if "mark.arithmetic" in path.read_text())

_AVX512 = {
    "OPENCV_IPP": "avx2",
    "OPENCV_CPU_DISABLE": "AVX512-SKX",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
}
_AVX2 = {
    "OPENCV_IPP": "sse42",
    "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FP16",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "AVX",
    "MKL_ENABLE_INSTRUCTIONS": "AVX",
    "OPENBLAS_CORETYPE": "Sandybridge",
    "JSIMD_FORCESSE2": "1",
}
_ALL = {
    "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FP16,AVX,SSE4.2,SSE4.1",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "OPENBLAS_CORETYPE": "Prescott",
    "JSIMD_FORCENONE": "1",
}
_IPP = {"OPENCV_IPP": "disabled"}
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "without IPP": _IPP,
    "AVX2": _AVX512,
    "AVX2 without IPP": _AVX512 | _IPP,
    "AVX": _AVX2,
    "least": _AVX2 | _ALL | _IPP,
}
"""What makes the libraries work as on a processor that has no more than this, or as builds without Intel's IPP do."""


def code_used() -> dict[str, Any]:
    """What OpenCV, IPP, numpy and torch say that they use."""
    import cv2
    import torch
    from numpy._core import _multiarray_umath as core  # type: ignore[attr-defined, unused-ignore]

    opencv = cv2.getCPUFeaturesLine().split()
    return {
        "opencv": {
            "known": [name.strip("*?") for name in opencv],
            "used": [name.strip("*") for name in opencv if not name.endswith("?")],
        },
        "ipp": cv2.ipp.getIppVersion().split()[1] if cv2.ipp.useIPP() else None,
        "numpy": {
            "known": core.__cpu_dispatch__,
            "used": [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]],
        },
        "torch": torch.backends.cpu.get_cpu_capability(),
    }


def write_data(folder: Path) -> None:
    """Pictures, a volume, rows and waveforms."""
    from mlperf_docker.harness.models.unet3d.cases import LIST
    from tests.harness.models.dlrm.test_dataset import write_rows
    from tests.harness.models.unet3d.test_dataset import write_case
    from tests.harness.samples.test_preprocessing import jpeg, photographs

    for name in ("images", "rows"):
        (folder / name).mkdir()
    photographs(folder / "images")
    for number, (height, width) in enumerate([(90, 120), (333, 517), (1024, 683), (800, 800)]):
        (folder / f"images/large{number}.JPEG").write_bytes(jpeg(height, width, number))
    write_rows(folder / "rows")
    write_case(folder / "volumes/data/case_00000", (40, 90, 81), (3.0, 0.9, 1.1))
    (folder / "volumes" / LIST).write_text('["case_00000"]')
    rng = np.random.default_rng(3)
    np.savez(folder / "sound.npz", *(rng.integers(-6000, 6000, n).astype(np.int16) for n in (4800, 23_120)))


def everything(folder: Path, cache: Path) -> dict[str, NDArray[Any]]:
    """What each model's preprocessing makes of the data in *folder*, by the model."""
    from mlperf_docker.harness.models.dlrm.benchmark import Dlrm
    from mlperf_docker.harness.models.dlrm.dataset import open_criteo
    from mlperf_docker.harness.models.dlrm.preprocess import Form as Tables
    from mlperf_docker.harness.models.resnet50 import preprocess as resnet50
    from mlperf_docker.harness.models.resnet50.network import Form
    from mlperf_docker.harness.models.retinanet import preprocess as retinanet
    from mlperf_docker.harness.models.rnnt.features import features
    from mlperf_docker.harness.models.unet3d import preprocess as unet3d
    from mlperf_docker.harness.models.unet3d.dataset import open_kits19

    def silent(done: int, total: int, unit: str) -> None:
        pass

    names = sorted(path.name for path in (folder / "images").glob("*.JPEG"))
    found = {}
    for torchvision, reader in ((False, resnet50.ImageNetReader), (True, resnet50.TorchvisionReader)):
        cropped = read(reader(folder / "images", names), len(names), (224, 224, 3), np.uint8)
        (tensor,) = resnet50.samples(cropped, Form(torchvision=torchvision)).load(range(len(names)))
        found["resnet50, torchvision" if torchvision else "resnet50"] = tensor
    found["retinanet"] = read(
        retinanet.OpenImagesReader(folder / "images", names), len(names), retinanet.SHAPE, np.float32
    )
    volumes = unet3d.prepare(open_kits19(folder / "volumes"), cache, workers=1, report=silent)
    found["3d-unet"], found["3d-unet, marks"] = np.array(volumes.volumes[0]), np.array(volumes.marks[0])
    rows = Dlrm().preprocess(open_criteo(folder / "rows"), Tables((50,) * 26), cache, workers=1, report=silent)
    found["dlrm"], found["dlrm, ids"] = rows.load(range(rows.count))
    with np.load(folder / "sound.npz") as sound:
        found["rnnt"], _ = features(list(sound.values()))
    return found


def read(reader: Any, count: int, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    reader.prepare()
    out: NDArray[Any] = np.empty((count, *shape), dtype=dtype)
    for index in range(count):
        reader.read(index, out[index])
    return out


def main(folder: Path, out: Path) -> int:
    """Write down what this process makes of the data in *folder*; give back pytest's exit code."""
    cache = out / "cache"
    cache.mkdir(parents=True)
    np.savez(out / "found.npz", **everything(folder, cache))  # type: ignore[arg-type, unused-ignore]
    (out / "used.json").write_text(json.dumps(code_used()))
    return int(pytest.main(["-q", "-m", "arithmetic", "-p", "no:cacheprovider", *map(str, FILES)]))


def is_x86() -> bool:
    """Whether the settings say anything to this machine's libraries."""
    return platform.machine() == "x86_64"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
