"""TorchScript archives, opened."""

import warnings
from pathlib import Path
from typing import Any

import torch

from mlperf_docker.harness import archives
from mlperf_docker.harness.backends import nms
from mlperf_docker.harness.errors import damaged
from mlperf_docker.harness.files import require_file


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
