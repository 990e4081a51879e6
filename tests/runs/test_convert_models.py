"""Containers that a conversion needs, chosen by the file."""

import struct
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find_model
from mlperf_docker.errors import ModelFileError
from mlperf_docker.runs.convert_models import SAFETENSORS, plan
from tests.evidence.test_evidence import Quiet

ORT, TF, TORCH = "onnxruntime", "tensorflow", "pytorch"
ONNX = ".onnx"
WEIGHTS = struct.pack("<Q", 2) + b"{}"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def steps(catalog: Catalog, source: Path, suffix: str, wanted: str | None = None) -> Any:
    return [
        (step.backend, step.suffix)
        for step in plan(catalog, find_model(catalog, "retinanet"), source, suffix, wanted, Quiet())
    ]


@pytest.mark.parametrize(
    ("name", "suffix", "expected"),
    [
        ("m.onnx", SAFETENSORS, [(ORT, SAFETENSORS)]),
        ("m.pb", SAFETENSORS, [(TF, SAFETENSORS)]),
        ("m.PTH", SAFETENSORS, [(TORCH, SAFETENSORS)]),
        ("m.pt", ONNX, [(TORCH, SAFETENSORS), (ORT, ONNX)]),
        ("m.pb", ONNX, [(TF, SAFETENSORS), (ORT, ONNX)]),
        ("m.safetensors", ONNX, [(ORT, ONNX)]),
        ("m.safetensors", SAFETENSORS, [(ORT, SAFETENSORS)]),
        ("retinanet_model_10.zip", SAFETENSORS, [(TORCH, SAFETENSORS)]),
    ],
)
def test_the_formats_tell_which_containers_a_conversion_needs(
    catalog: Catalog, tmp_path: Path, name: str, suffix: str, expected: list[object]
) -> None:
    (tmp_path / name).write_bytes(b"anything")
    assert steps(catalog, tmp_path / name, suffix) == expected


def test_weights_are_known_by_their_header(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(WEIGHTS)
    assert steps(catalog, tmp_path / "weights", ONNX) == [(ORT, ONNX)]
    (tmp_path / "other").write_bytes(struct.pack("<Q", 2**40) + b"{}")
    with pytest.raises(ModelFileError, match="does not tell its format"):
        steps(catalog, tmp_path / "other", ONNX)


def test_the_user_may_say_who_reads(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"anything")
    assert steps(catalog, tmp_path / "other", SAFETENSORS, TORCH) == [(TORCH, SAFETENSORS)]
    assert steps(catalog, tmp_path / "other", ONNX, TORCH) == [(TORCH, SAFETENSORS), (ORT, ONNX)]
