"""ONNX files, inspected without being run. Large tensors may be in other files beside one."""

import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import ModelFileError, damaged, needing
from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.system.files import require_file
from mlperf_docker.harness.weights.numbers import widened

KIND = "ONNX file"
_MARK = b"location"
"""The key of the entry that says in which file a tensor is; a file without it is all there is."""


def load_model(path: Path) -> Any:  # noqa: ANN401 (an onnx.ModelProto; onnx comes without types)
    """The model in *path*, without what is in files beside it. Raises ModelFileError."""
    with needing("the onnx package", path, "onnxruntime"):
        import onnx
    require_file(path)
    try:
        return onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError has no public home
        raise damaged(path, KIND, error) from error


def load_graph(path: Path) -> Any:  # noqa: ANN401
    """The graph in *path*, with all of its tensors. Raises ModelFileError."""
    model = load_model(path)
    if not model.graph.node:
        raise damaged(path, KIND, "its graph is empty")
    for _, tensor in tensors(model):
        if is_elsewhere(tensor):
            tensor.raw_data = _content(path, tensor).tobytes()
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
    return model.graph


def tensors(model: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Every table of numbers in a model, by name: of its graph, of those within it, and of its functions."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    yield from ((tensor.name, tensor) for tensor in graph.initializer)
    yield from ((sparse.values.name, sparse.values) for sparse in graph.sparse_initializer)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for node in nodes:
        name = node.output[0] if node.output else node.name
        for attribute in node.attribute:
            yield from ((tensor.name or name, tensor) for tensor in attribute.tensors)
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _of_graph(graph)
            if attribute.HasField("t"):
                yield attribute.t.name or name, attribute.t
            if attribute.HasField("sparse_tensor"):
                yield name, attribute.sparse_tensor.values


def is_elsewhere(tensor: Any) -> bool:  # noqa: ANN401
    """Whether a tensor's numbers are in another file."""
    import onnx

    return bool(tensor.external_data) and tensor.data_location == onnx.TensorProto.EXTERNAL


def files_beside(path: Path) -> tuple[Path, ...]:
    """The files in which *path* says that tensors are, in order. Raises ModelFileError where one is no such file."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(_MARK) < 0:
            return ()
    found = {_neighbour(path, tensor) for _, tensor in tensors(load_model(path)) if is_elsewhere(tensor)}
    return tuple(sorted(found))


def _neighbour(path: Path, tensor: Any) -> Path:  # noqa: ANN401
    """The file beside *path* that has the numbers of *tensor*.

    It is in the folder of *path*, or below. It may be a link, as in the caches of model hubs, where all files are; but
    beside a file that is none, a link does not lead out of the folder. Raises ModelFileError.
    """
    location = _entries(tensor).get("location", "")
    name, folder = PurePosixPath(location), path.parent
    file = folder / name
    inside = location and "\0" not in location and not name.is_absolute() and ".." not in name.parts
    if inside and not path.is_symlink():
        inside = Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder))  # also where links go in circles
    if not inside:
        raise ModelFileError(f"{path} wants {tensor.name} from outside its folder: {location}")
    try:
        require_file(file)
    except ModelFileError as error:
        raise ModelFileError(
            f"{path} has {tensor.name} in a file beside it: {error}",
            hint="The files belong together: copy or unpack all of them into one folder.",
        ) from error
    return file


def _entries(tensor: Any) -> dict[str, str]:  # noqa: ANN401
    return {entry.key: entry.value for entry in tensor.external_data}


def _content(path: Path, tensor: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """The bytes of a tensor in a file beside *path*, mapped. Raises ModelFileError where they are not all there."""
    file, entries = _neighbour(path, tensor), _entries(tensor)
    try:
        content: NDArray[np.uint8] = np.memmap(file, dtype=np.uint8, mode="r")
        start = int(entries.get("offset", 0))
        length = int(entries.get("length", len(content) - start))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path} has {tensor.name} in {file}, which cannot be read: {error}") from error
    if start < 0 or length < 0 or start + length > len(content):
        raise ModelFileError(
            f"{path} has {tensor.name} in {file}, from byte {start} to {start + length}; that file has {len(content)}",
            hint="It is cut off, or of another model.",
        )
    return content[start : start + length]


def array_of(path: Path, tensor: Any) -> NDArray[Any]:  # noqa: ANN401
    """The numbers of a tensor of *path*; those in a file beside it are mapped, not read. Raises ModelFileError."""
    from onnx import helper

    try:
        if not is_elsewhere(tensor):
            return values(tensor)
        dtype, shape = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)), tuple(tensor.dims)
        return widened(_content(path, tensor).view(dtype).reshape(shape))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelFileError(f"{path} has not as many numbers in {tensor.name} as it says: {error}") from error


def values(tensor: Any) -> NDArray[Any]:  # noqa: ANN401
    """The numbers of a tensor that holds them itself; types that numpy lacks become float32."""
    from onnx import numpy_helper

    return widened(np.asarray(numpy_helper.to_array(tensor)))


def weights(path: Path, model: Any) -> Iterator[tuple[str, NDArray[Any]]]:  # noqa: ANN401
    """Every table of floating-point numbers. A single infinite one is left out: it is a bound that nothing reaches."""
    from onnx import TensorProto

    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
    for name, tensor in tensors(model):
        array = array_of(path, tensor) if tensor.data_type in kinds else np.empty(0)
        if array.size > 1 or np.isnan(array).any():
            yield name, array


def interface_of(model: Any) -> Interface:  # noqa: ANN401
    """What a model takes and gives; an axis that is not fixed has any length."""
    tables = {tensor.name for tensor in model.graph.initializer}
    inputs = (_described(value) for value in model.graph.input if value.name not in tables)
    return Interface(tuple(inputs), tuple(map(_described, model.graph.output)))


def _described(value: Any) -> Tensor:  # noqa: ANN401
    from onnx import TensorProto, helper

    kind = value.type.tensor_type
    known = kind.elem_type in TensorProto.DataType.values() and kind.elem_type != TensorProto.UNDEFINED
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type)).name if known else "of no type"
    axes = (axis.dim_value if axis.HasField("dim_value") else None for axis in kind.shape.dim)
    return Tensor(value.name, dtype, tuple(axes))
