"""ONNX files, read for what is in them rather than run."""

from pathlib import Path
from typing import Any

from mlperf_docker.harness.errors import ModelFileError


def load_graph(path: Path) -> Any:  # noqa: ANN401
    """The graph in *path*. Raises ModelFileError."""
    try:
        import onnx
    except ImportError as error:
        raise ModelFileError(
            f"{path} can be read only where the onnx package is installed, and here it is not",
            hint="Use the image of the backend that reads such files: --backend onnxruntime",
        ) from error
    hint = "It is truncated or of another format. Compare its checksum with: mlperf-docker models verify"
    try:
        graph = onnx.load(path).graph
    except Exception as error:  # protobuf's DecodeError has no public home; an external file may be missing
        size = path.stat().st_size if path.exists() else 0
        raise ModelFileError(
            f"{path} ({size} bytes) is no ONNX file: {str(error).strip() or type(error).__name__}",
            hint=hint,
        ) from error
    if not graph.node:
        raise ModelFileError(f"{path} ({path.stat().st_size} bytes) holds an empty ONNX graph", hint=hint)
    return graph
