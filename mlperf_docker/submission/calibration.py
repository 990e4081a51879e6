"""Description of the quantization of weights, which the closed division asks for, of fp32 entries too."""

from collections.abc import Iterable, Iterator

from mlperf_docker.catalog.spec import ModelFile, ModelSpec
from mlperf_docker.contract.words import Precision


def text(models: Iterable[ModelSpec]) -> str:
    """Return documentation/calibration.md.

    It depends on the models that this tool knows and on no single entry, so that trees of several hosts agree on it.
    """
    files = "".join(f"- {line}\n" for line in _quantized(models))
    return (
        "# Calibration\n\n"
        "Entries whose `weight_data_types` are fp32 are not quantized: weights and arithmetic are fp32.\n\n"
        "mlperf-docker calibrates nothing itself. Its int8 entries run the reference's own quantized files as they are,"
        " with the scales that are in them:\n\n"
        f"{files}\n"
        "The backend folds each pair of QuantizeLinear and DequantizeLinear into int8 operators when it loads the"
        " graph. No sample of the calibration or validation set is read for it.\n"
    )


def _quantized(models: Iterable[ModelSpec]) -> Iterator[str]:
    for model in models:
        for file in model.files:
            if file.precision is not Precision.FP32:
                yield f"{model.title}: `{file.name}` ({file.precision}), {file.urls[0]}{_checksum(file)}; {file.note}"


def _checksum(file: ModelFile) -> str:
    known = {"sha256": file.sha256, "md5": file.md5}
    return next((f", {kind} {value}" for kind, value in known.items() if value), "")
