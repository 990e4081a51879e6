"""DLRM: the reference reads rows out of NumPy archives, one for each day, and a model file with all tables in it.

LoadGen knows the benchmark by the path of the model file, so that path is the benchmark's own key.
"""

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.api.samples import Named
from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.models.dlrm.dataset import COLUMNS, DENSE, TABLES, Criteo
from mlperf_docker.harness.models.dlrm.network import config_of, table_name
from mlperf_docker.harness.system import entries
from mlperf_docker.harness.system.resources import cores
from mlperf_docker.reference_harness.forms import model_files
from mlperf_docker.reference_harness.models.files import Given
from mlperf_docker.reference_harness.script import construction

DAYS = 24
"""Days of the log, the last of which is tested on."""
TESTED = f"day_{DAYS - 1}_reordered.npz"
LARGEST_BATCH = 64
"""Samples of a batch at most, unless the run says more. The reference's own number, 2048, takes tens of gigabytes."""
WAITING = 5
"""Batches in shared memory for each thread: four wait, and one is worked on."""
SAMPLE_BYTES = 3 * 270 * (4 * DENSE + 16 * TABLES + 4) // 2
"""Shared memory for a sample: 270 rows on average, and half as much again."""
SHARED = Path("/dev/shm")  # noqa: S108 (looked at, not written to)


def files(given: Given) -> Mapping[str, object]:
    """The rows as archives, the model file by the name that LoadGen is told, and a batch that memory has room for."""
    if given.synthetic is None and given.options.model_options.numbers:
        raise UsageError(
            "--max-ind-range is for our own harness, and for synthetic data: the reference reads whole tables"
        )
    model = given.model or _synthetic_model(given)
    for each in model.parent.iterdir():  # a graph has its tables beside it
        (given.work / each.name).symlink_to(each)
    key = given.options.cell.loadgen_key
    (given.work / key).symlink_to(model)
    made_from = {"data": given.dataset.identity, "samples": given.count}
    days = entries.entry(given.cache / f"days-{given.count}", made_from, partial(write_days, given.dataset))
    return {"model": key, "preprocessed": days, "batch_size": given.options.batch_size or fitting_batch()}


def fitting_batch() -> int:
    """Samples of a batch of which as many as wait fit into shared memory, a good part of which a container lacks."""
    status = os.statvfs(SHARED)
    room = status.f_bavail * status.f_frsize
    return max(1, min(LARGEST_BATCH, room // (WAITING * cores() * SAMPLE_BYTES)))


def write_days(dataset: Criteo, folder: Path) -> None:
    """Write the rows of *dataset* as the first half of the last day, the half that is tested on.

    All days have to be there; of the others only the names are looked at.
    """
    count = len(dataset.rows)
    whole = np.zeros((2 * count, COLUMNS), dtype=np.int32)
    whole[:count] = dataset.rows
    y, dense, ids = np.split(whole, (1, 1 + DENSE), axis=1)
    np.savez(folder / TESTED, y=y[:, 0], X_int=dense, X_cat=ids)
    for day in range(DAYS - 1):
        (folder / f"day_{day}_reordered.npz").touch()
    np.savez(folder / "day_day_count.npz", total_per_file=np.array([0] * (DAYS - 1) + [2 * count]))
    np.savez(folder / "day_fea_count.npz", counts=1 + dataset.rows[:, 1 + DENSE :].max(axis=0))


def _synthetic_model(given: Given) -> Path:
    """The synthetic weights as the reference's backend reads them, which is told their sizes."""
    synthetic = given.made
    arrays = model_files.arrays(given.benchmark, synthetic)
    (given.work / construction.FILE).write_text(json.dumps(sizes(arrays, synthetic)), encoding="utf-8")
    name, write = _WRITERS[given.options.cell.backend]
    kept = model_files.kept(
        synthetic.weights, given.cache / f"model-{name}", lambda folder: write(arrays, folder / name)
    )
    return kept / name


def sizes(arrays: Named, synthetic: SyntheticSet) -> Mapping[str, object]:
    """What the reference's backend has to be told of the network with *arrays*: it knows the sizes of official ones."""
    config = config_of(arrays, str(synthetic.weights))
    rows = [len(arrays[table_name(number)]) for number in range(TABLES)]
    return {"m_spa": config.width, "ln_emb": rows, "ln_bot": config.bottom, "ln_top": config.top}


def _write_checkpoint(arrays: Named, path: Path) -> None:
    import torch

    from mlperf_docker.reference_harness.forms import state_dict

    torch.save({"state_dict": state_dict.tensors(arrays)}, path)


def _write_graph(arrays: Named, path: Path) -> None:
    from mlperf_docker.reference_harness.forms import lookup_graph

    lookup_graph.write(arrays, path)


_WRITERS: Mapping[str, tuple[str, Callable[[Named, Path], None]]] = {
    "onnxruntime": ("dlrm_terabyte.onnx", _write_graph),
    "pytorch": ("dlrm_terabyte.pt", _write_checkpoint),
}
