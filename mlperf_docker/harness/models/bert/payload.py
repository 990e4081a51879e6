"""Payload of BERT's logits: float32 [384, 2], start and end of each position side by side, 3072 bytes.

Source: mlcommons/inference, language/bert/onnxruntime_SUT.py and accuracy-squad.py.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.models.bert.features import LENGTH

WIDTH = 2 * LENGTH
NOWHERE = -10000.0
"""Logit of a position that a model was not asked about; upstream's scorer fills up with the same."""


def of_logits(
    outputs: Arrays, samples: Sequence[int], out: NDArray[Any], lengths: NDArray[np.int64] | None = None
) -> None:
    """Payloads from logits (batch, L, 2), L up to 384.

    lengths: tokens of each sample of the data set. With it (bound by functools.partial), what a model says about a
    sample's padding is left out too, so that a payload does not depend on the batch that its sample was in.
    """
    (logits,) = outputs
    _fill(out, logits[..., 0], logits[..., 1], samples, lengths)


def of_start_and_end(
    outputs: Arrays, samples: Sequence[int], out: NDArray[Any], lengths: NDArray[np.int64] | None = None
) -> None:
    """Payloads from the logits of starts (batch, L) and of ends (batch, L); otherwise as `of_logits`."""
    start, end = outputs
    _fill(out, start, end, samples, lengths)


def _fill(
    out: NDArray[Any],
    start: NDArray[Any],
    end: NDArray[Any],
    samples: Sequence[int],
    lengths: NDArray[np.int64] | None,
) -> None:
    rows = out.reshape(len(out), LENGTH, 2)
    asked = start.shape[1]
    rows[:, :asked, 0] = start
    rows[:, :asked, 1] = end
    rows[:, asked:] = NOWHERE
    if lengths is not None:
        rows[np.arange(LENGTH) >= lengths[np.asarray(samples), None]] = NOWHERE
