"""Good inputs of every kind, tiny and in their official layouts: what mutations begin with."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlperf_docker.system.paths import assets

RECORDED = Path(__file__).parents[1] / "harness" / "models" / "bert" / "recorded"


def jpeg(path: Path, seed: int, height: int = 90, width: int = 120) -> None:
    """A picture of coarse shapes and grain."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse: Any = cv2.resize(rng.integers(0, 256, (5, 7, 3), np.uint8), (width, height))
    cv2.imwrite(str(path), cv2.add(coarse, rng.integers(0, 30, coarse.shape, np.uint8)))


def imagenet(root: Path) -> None:
    """Four pictures."""
    for number in range(4):
        jpeg(root / f"ILSVRC2012_val_{number:08}.JPEG", number)
    lines = [f"ILSVRC2012_val_{number:08}.JPEG {number * 100}\n" for number in range(4)]
    (root / "val_map.txt").write_text("".join(lines))


def openimages(root: Path) -> None:
    """Two pictures with three things."""
    (root / "annotations").mkdir()
    (root / "validation/data").mkdir(parents=True)
    images, things = [], []
    for number in range(2):
        jpeg(root / f"validation/data/{number:016x}.jpg", number)
        images.append({"id": number + 1, "file_name": f"{number:016x}.jpg", "height": 90, "width": 120})
    for number in range(3):
        box = [5.5, 6.0, 30.0 + number, 20.0]
        area = box[2] * box[3]
        thing = {"id": number + 1, "image_id": number % 2 + 1, "category_id": number + 1, "bbox": box, "area": area}
        things.append({**thing, "iscrowd": 0})
    names = [{"id": number, "name": f"thing {number}"} for number in range(264)]
    content = {"images": images, "annotations": things, "categories": names}
    (root / "annotations/openimages-mlperf.json").write_text(json.dumps(content))


def squad(root: Path) -> None:
    """Recorded questions."""
    for name in ("dev-v1.1.json", "vocab.txt"):
        shutil.copy(RECORDED / name, root / name)


def kits19(root: Path) -> None:
    """Two cases."""
    from mlperf_docker.harness.models.unet3d import cases, synthetic

    rng, names = np.random.default_rng(4), ["case_00000", "case_00003"]
    for name in names:
        folder = root / "data" / name
        folder.mkdir(parents=True)
        volume = rng.integers(-200, 400, (20, 24, 28)).astype(np.int16)
        marks = rng.integers(0, 3, volume.shape).astype(np.uint8)
        synthetic.write_volume(folder / "imaging.nii.gz", volume, (3, 2, 2))
        synthetic.write_volume(folder / "segmentation.nii.gz", marks, (3, 2, 2))
    (root / cases.LIST).write_text(json.dumps(names))


def librispeech(root: Path) -> None:
    """Three utterances, as MLPerf converts them."""
    from mlperf_docker.harness.models.rnnt import synthetic_speech

    rng = np.random.default_rng(5)
    waves = [rng.integers(-3000, 3000, length).astype(np.int16) for length in (5000, 7000, 6001)]
    synthetic_speech.write(root, waves, ["one", "it's two", "and three"])


def criteo(root: Path) -> None:
    """Rows enough for a few samples."""
    rng = np.random.default_rng(6)
    rows = rng.integers(0, 3, (2000, 40)).astype("<i4")
    rows[:, 0] &= 1
    rows.tofile(root / "terabyte_processed_test.bin")


DATA_SETS = {
    "resnet50": "imagenet",
    "retinanet": "openimages",
    "bert": "squad",
    "3d-unet": "kits19",
    "rnnt": "librispeech",
    "dlrm": "criteo",
}
"""What makes the data set of each model."""


def weights() -> Mapping[str, Any]:
    """Of a ResNet of few channels, by the names of the official file."""
    from mlperf_docker.contract.words import SyntheticSize
    from mlperf_docker.harness.models.resnet50 import synthetic

    return synthetic.draw_weights(synthetic.RECIPES[SyntheticSize.TINY].config, 7)


def safetensors(root: Path) -> None:
    """Weights."""
    from mlperf_docker.harness.weights import safetensors as weight_files

    weight_files.write(root / "model.safetensors", dict(weights()))


def _graph() -> bytes:
    from mlperf_docker.harness.models.resnet50 import network
    from mlperf_docker.harness.ops.onnx import serialize

    return serialize(network.checked(weights(), "weights"))


def onnx(root: Path) -> None:
    """A graph with its weights inside."""
    (root / "model.onnx").write_bytes(_graph())


def onnx_with_data(root: Path) -> None:
    """A graph with its weights beside it."""
    import onnx as library

    model = library.load_from_string(_graph())
    options: dict[str, Any] = {"save_as_external_data": True, "location": "model.bin", "size_threshold": 0}
    library.save(model, str(root / "model.onnx"), **options)


def checkpoint(root: Path) -> None:
    """A network's state, as PyTorch saves it: UNet's, whose official file is one."""
    import torch

    arrays = _unet()
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    torch.save({"best_model_state_dict": state}, root / "model.pth")


def _unet() -> Mapping[str, Any]:
    from mlperf_docker.contract.words import SyntheticSize
    from mlperf_docker.harness.models.unet3d import synthetic

    return synthetic.draw_weights(synthetic.RECIPES[SyntheticSize.TINY].config, 7)


def torchscript(root: Path) -> None:
    """An archive with the same names, and a stand-in for the network."""
    import torch

    top = torch.nn.Module()
    for name, array in _unet().items():
        *path, last = name.split(".")
        place: Any = top
        for part in path:
            if not hasattr(place, part):
                place.add_module(part, torch.nn.Module())
            place = getattr(place, part)
        place.register_parameter(last, torch.nn.Parameter(torch.from_numpy(array)))
    top.forward = lambda x: torch.cat([x, -x, x * 0.5], 1)
    torch.jit.trace(top, torch.ones(1, 1, 4, 4, 4)).save(root / "model.ptc")


def frozen_graph(root: Path) -> None:
    """ResNet50 as TensorFlow's official model froze it."""
    from tests.harness.models.resnet50.test_official import FrozenGraph

    (root / "model.pb").write_bytes(FrozenGraph().definition().SerializeToString())


def saved_model(root: Path) -> None:
    """UNet as a SavedModel in a zip archive, which its official file is."""
    from tests.harness.models.unet3d.reference import save_tensorflow
    from tests.harness.models.unet3d.test_network import arrays

    with tempfile.TemporaryDirectory() as folder:
        save_tensorflow(arrays(), Path(folder) / "model")
        shutil.make_archive(str(root / "model"), "zip", folder)


def results(root: Path) -> None:
    """Two runs."""
    from tests.results.run_results import ENERGY, HOST, write_run

    for number in range(2):
        write_run(root, f"2026010{number + 1}T000000.000-run", samples=64 + number, host=HOST, energy=ENERGY)


def description(root: Path) -> None:
    """A system's description that is complete."""
    from mlperf_docker.systems import keys, writing

    values = {key.name: key.words[0] if key.words else "1" for key in keys.KEYS}
    writing.write(root / "box.yaml", "box", values, force=False)


def submission(root: Path) -> None:
    """A submission's tree without a fault."""
    from mlperf_docker.rounds.loading import load
    from tests.fixtures.submission_trees import LoadgenLogs, TreeRecipe, Trees

    with tempfile.TemporaryDirectory() as folder:
        Trees(LoadgenLogs(Path(folder))).build(root, TreeRecipe(load().newest, benchmarks=("bert-99",)))


def catalog(root: Path) -> None:
    """A checkout's files, as far as the catalog needs them."""
    shutil.copy(assets() / "images.yaml", root)
    for name in ("templates", "locks", "evidence.json"):
        (root / name).symlink_to(assets() / name)
    (root / "mlperf_docker").mkdir()


def rounds(root: Path) -> None:
    """The table of rounds, in a checkout."""
    catalog(root)
    shutil.copy(assets() / "rounds.yaml", root)


def campaign(root: Path) -> None:
    """A campaign on synthetic data, with options of all kinds."""
    (root / "user.conf").write_text("*.Offline.min_duration = 1000\n")
    (root / "system.json").write_text("{}")
    (root / "campaign.yaml").write_text(
        "round: v6.1\ndivision: closed\nsuite: edge\nsubmitter: Example\nsystem: system.json\nresults: results\n"
        "options:\n  synthetic: tiny\n  min_duration: 1\n  cpus: 1.5\n"
        "cells:\n  - model: resnet50\n    backend: onnxruntime\n    device: cpu\n    precision: fp32\n"
        "    scenarios: [SingleStream, Offline]\n    modes: [accuracy, performance, compliance]\n"
        "    options:\n      batch_size: 2\n    scenario_options:\n      Offline:\n        target_qps: 10\n"
        "  - model: bert\n    benchmarks: [bert-99]\n    user_conf: user.conf\n    scenarios: required\n"
    )
