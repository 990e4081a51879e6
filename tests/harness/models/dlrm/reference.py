"""DLRM once more, in torch.nn, by its published description: to compare with. Written apart from the harness.

dlrm_s_pytorch.py of facebookresearch/dlrm, with arch_interaction_op="dot" and no interaction of a vector with itself.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray


class Reference(torch.nn.Module):  # type: ignore[misc,unused-ignore]
    """DLRM from an EmbeddingBag per category and two stacks; names are those of the official checkpoint."""

    def __init__(self, rows: Sequence[int], bottom: Sequence[int], top: Sequence[int]) -> None:
        super().__init__()
        self.emb_l = torch.nn.ModuleList(torch.nn.EmbeddingBag(count, bottom[-1], mode="sum") for count in rows)
        self.bot_l = stack(bottom, torch.nn.ReLU())
        self.top_l = stack(top, torch.nn.Sigmoid())

    def forward(self, dense: torch.Tensor, offsets: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        x = self.bot_l(dense)
        vectors = [bag(ids, starts) for bag, ids, starts in zip(self.emb_l, indices, offsets, strict=True)]
        everything = torch.cat([x, *vectors], dim=1).view(len(x), -1, x.shape[1])
        products = torch.bmm(everything, everything.transpose(1, 2))
        left = torch.tensor([i for i in range(everything.shape[1]) for _ in range(i)])
        right = torch.tensor([j for i in range(everything.shape[1]) for j in range(i)])
        return self.top_l(torch.cat([x, products[:, left, right]], dim=1))


def stack(widths: Sequence[int], last: torch.nn.Module) -> torch.nn.Sequential:
    """Linear layers with ReLU between them and *last* behind the last."""
    layers: list[torch.nn.Module] = []
    for before, after in pairwise(widths):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1], last)


def predict(network: Reference, dense: NDArray[np.float32], ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """Predictions of rows (n, 13) and (n, 26), fed as upstream feeds them."""
    offsets = torch.arange(len(ids)).repeat(ids.shape[1], 1)
    with torch.no_grad():
        found = network(torch.from_numpy(dense), offsets, torch.from_numpy(np.ascontiguousarray(ids.T)).long())
    return np.asarray(found.numpy())
