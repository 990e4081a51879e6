"""Weights of RetinaNet by the training checkpoint's names, out of the files that hold them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.harness import weights as weight_files
from mlperf_docker.harness.names import Format

READERS: Mapping[Format, Callable[[Path], dict[str, NDArray[Any]]]] = {Format.SAFETENSORS: weight_files.read}
