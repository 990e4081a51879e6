"""Synthetic rows in the official layout, with weights whose predictions on them are known.

Ids are skewed as real ones are. The network is random, with its last layer fitted so that predictions spread; labels
are drawn from what a plain loop predicts, so the area under the curve is well away from a half, and a lost sample, a
wrong order or a wrong label shows. Whole labels are clicks where a prediction is above a bound.

Rows are drawn in blocks, each from a generator of its own: a large set need not fit into memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api import named_weights
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.benchmark import Answerer
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.api.scores import SyntheticKind, SyntheticSet
from mlperf_docker.harness.architectures.dlrm import FULL, DlrmConfig, weights_of
from mlperf_docker.harness.models.dlrm import accuracy, aggregation
from mlperf_docker.harness.models.dlrm import network as networks
from mlperf_docker.harness.models.dlrm.dataset import BINARY, COLUMNS, DENSE, TABLES, Criteo, open_criteo
from mlperf_docker.harness.models.dlrm.preprocess import Form, Pairs
from mlperf_docker.harness.samples.synthetic import cached_set
from mlperf_docker.harness.system.files import write_json
from mlperf_docker.harness.weights import safetensors as weight_files

VERSION = 1
SEED = 20190531

OFFICIAL_ROWS = (
    *(39884406, 39043, 17289, 7420, 20263, 3, 7120, 1543, 63, 38532951, 2953546, 403346, 10),
    *(2208, 11938, 155, 4, 976, 14, 39979771, 25641295, 39664984, 585935, 12972, 108, 36),
)
"""Rows of the official tables, which were made with --max-ind-range=40000000."""

MEAN, SPREAD = -2.0, 1.5
"""Of the logits: a click is rare, and predictions go from nearly 0 to over a half."""
WHOLE_BOUND = 0.25
"""Predictions above it are clicks, where labels are whole."""
FITTED_ON = 16
"""Samples that the last layer is fitted to."""
SKEW = 4.0
"""Ids are this power of a uniform number: a third of them are among the first hundredth of a table's rows."""


@dataclass(frozen=True, slots=True)
class DlrmRecipe:
    """Size of a synthetic set."""

    count: int
    """Samples of a block, and of a set of the usual number."""
    limit: int
    """Rows of the largest tables."""
    config: DlrmConfig

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of each table."""
        return tuple(min(rows, self.limit) for rows in OFFICIAL_ROWS)


TINY = DlrmConfig(bottom=(DENSE, 32, 16), top=(16 + 351, 64, 32, 1))
RECIPES = {SyntheticSize.TINY: DlrmRecipe(64, 1000, TINY), SyntheticSize.FULL: DlrmRecipe(1024, 100_000, FULL)}


def synthesize(
    kind: SyntheticKind, cache: Path, answerer: Answerer, report: Report, limit: int | None = None
) -> SyntheticSet:
    """The set of this kind in *cache*, made by whoever comes first; *limit* is the rows of its largest tables."""
    recipe = RECIPES[kind.size]
    recipe = recipe if limit is None else DlrmRecipe(recipe.count, limit, recipe.config)
    name = f"dlrm-{kind.name(recipe.count)}-{recipe.limit}-v{VERSION}-{SEED}"
    return cached_set(cache, name, lambda folder: _make(recipe, kind, folder, answerer, report))


def draw_weights(recipe: DlrmRecipe, seed: int) -> dict[str, NDArray[np.float32]]:
    """Random weights under which activations keep their size; vectors are as long as the bottom stack's output."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in named_weights.declared(lambda ops, w: weights_of(ops, w, recipe.config)).items():
        deviation = np.sqrt(2.0 / shape[1]) if len(shape) > 1 else 0.1
        arrays[name] = rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)
    scale = np.float32(1 / np.sqrt(recipe.config.width))
    for number, rows in enumerate(recipe.rows):
        table = rng.standard_normal((rows, recipe.config.width), dtype=np.float32)
        arrays[networks.table_name(number)] = np.multiply(table, scale, out=table)
    return arrays


def write_rows(recipe: DlrmRecipe, count: int, path: Path) -> None:
    """Write the rows of *count* samples, a block of samples after the other."""
    bounds = aggregation.offsets(count * aggregation.LARGEST)
    ends = [int(bounds[at]) for at in (*range(0, count, recipe.count), count)]
    with path.open("wb") as stream:
        for block, (start, end) in enumerate(pairwise(ends)):
            draw_rows(recipe, (SEED, block) if block else SEED, end - start).tofile(stream)


def draw_rows(recipe: DlrmRecipe, seed: int | tuple[int, int], count: int) -> NDArray[np.int32]:
    """*count* rows of the binary layout; all labels are 0 yet."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, COLUMNS), dtype=np.int32)
    rows[:, 1 : 1 + DENSE] = np.floor(np.exp(rng.normal(1.0, 1.5, (count, DENSE))))
    chances = rng.random((count, TABLES)) ** SKEW
    rows[:, 1 + DENSE :] = np.floor(chances * np.array(recipe.rows))
    return rows


def _make(recipe: DlrmRecipe, kind: SyntheticKind, folder: Path, answerer: Answerer, report: Report) -> None:
    data, weights = folder / "data", folder / "weights.safetensors"
    data.mkdir()
    write_rows(recipe, kind.count(recipe.count), data / BINARY)
    dataset = open_criteo(data)
    arrays = draw_weights(recipe, SEED)
    _fit(arrays, recipe, answerer, Pairs(dataset, Form()))
    weight_files.write(weights, arrays)
    arrays.clear()
    run = answerer.predictor(networks.checked(weight_files.mapped(weights), str(weights)), "pred").predict
    predictions = _predict(run, Pairs(dataset, Form()), report)
    bound = WHOLE_BOUND if kind.whole else np.random.default_rng(SEED).random(len(predictions))
    labels = (predictions > bound).astype(np.int32)
    rows = np.memmap(data / BINARY, dtype=np.int32, mode="r+", shape=(len(labels), COLUMNS))
    rows[:, 0] = labels
    rows.flush()
    known = _known(predictions, labels, dataset, kind.known_counts(recipe.count))
    facts = {**kind.facts, "version": VERSION, "seed": SEED, "count": dataset.count, "rows": len(labels)}
    tables = {"table_rows": sum(recipe.rows), "clicks": int(labels.sum())}
    write_json(folder / "synthetic.json", {**facts, **tables, "accuracy": {"AUC": known[-1]}, "AUC": known})


def _fit(arrays: dict[str, NDArray[np.float32]], recipe: DlrmRecipe, answerer: Answerer, samples: Pairs) -> None:
    """Scale the last layer so that logits have the mean and the spread that we want."""
    run = answerer.predictor(networks.network(arrays, recipe.config), "logits").predict
    (logits,) = run(samples.load(range(min(FITTED_ON, samples.count))))
    name = f"top_l.{2 * (len(recipe.config.top) - 2)}"
    factor = np.float32(SPREAD / logits.std())
    arrays[f"{name}.weight"] *= factor
    bias = arrays[f"{name}.bias"]
    bias[:] = MEAN - factor * (logits.mean() - bias)


def _predict(run: Callable[[Arrays], Arrays], samples: Pairs, report: Report) -> NDArray[np.float32]:
    """Predictions of all rows: the plain loop, sample by sample, that LoadGen's answers must agree with."""
    parts = []
    for index in range(samples.count):
        parts.append(run(samples.load([index]))[0].reshape(-1).copy())
        report(index + 1, samples.count, "samples")
    return np.concatenate(parts)


def _known(
    predictions: NDArray[np.float32], labels: NDArray[np.int32], dataset: Criteo, counts: Sequence[int]
) -> list[float]:
    """The area under the curve, in percent, of the first *counts* samples."""
    ends = [int(dataset.bounds[count]) for count in counts]
    return [100.0 * accuracy.area(predictions[:end], labels[:end]) for end in ends]
