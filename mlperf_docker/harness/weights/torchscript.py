"""TorchScript archives, opened for their weights."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import damaged
from mlperf_docker.harness.system import archives
from mlperf_docker.harness.system.files import require_file
from mlperf_docker.harness.weights import nms


def open_archive(path: Path, device: torch.device) -> Any:  # noqa: ANN401 (a TorchScript module)
    """The module in *path*, for inference. Raises ModelFileError."""
    require_file(path)
    archives.check_sizes(archives.look(path))
    nms.register()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, OSError, ValueError) as error:
        reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), "unreadable")
        raise damaged(path, "TorchScript archive that PyTorch can load", reason) from error


def held_numbers(module: Any) -> Iterator[tuple[str, NDArray[Any]]]:  # noqa: ANN401
    """All weights of a module by name, and the tables that became constants of a frozen one."""
    named = [*module.named_parameters(), *module.named_buffers()]
    graph = module.inlined_graph  # which its nodes do not keep alive
    constants = graph.findAllNodes("prim::Constant", recurse=True)
    tensors = [(node.output().debugName(), node.t("value")) for node in constants if _is_table(node)]
    for name, tensor in (*named, *tensors):
        if tensor.is_floating_point() and tensor.numel() > 1:
            yield name, tensor.detach().cpu().float().numpy()


def _is_table(node: Any) -> bool:  # noqa: ANN401
    return bool(node.hasAttribute("value") and node.kindOf("value") == "t")
