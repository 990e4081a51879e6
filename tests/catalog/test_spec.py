"""Facts of images.yaml about data sets and model files, against what upstream published."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import DatasetFile, ModelFile, ModelSpec
from mlperf_docker.contract.scores import Sense
from mlperf_docker.contract.words import Precision
from mlperf_docker.harness.models.unet3d import cases
from mlperf_docker.inputs.models.official_files import officials
from mlperf_docker.system.paths import assets

CATALOG = Catalog.load(assets() / "images.yaml")
MODELS = {model.name: model for model in CATALOG.models}

# Where nobody published a checksum.
WITHOUT_CHECKSUM = {
    "3dunet_kits19_128x128x128.onnx",
    "DistributedDataParallel_1576581068.9962234-epoch-100.pt",
    "validation-annotations-bbox.csv",
    "class-descriptions-boxable.csv",
}


@pytest.mark.parametrize("model", CATALOG.models, ids=lambda model: model.name)
def test_addresses_and_checksums_are_well_formed(model: ModelSpec) -> None:
    for address in (url for series in model.dataset.series for url in series.urls):
        assert urlsplit(address).scheme == "https"  # most of these files have no checksum
    files: list[ModelFile | DatasetFile] = [*model.files, *model.dataset.files]
    for file in files:
        assert bool(file.md5 or file.sha256) is (file.name not in WITHOUT_CHECKSUM), file.name
        assert re.fullmatch(r"[0-9a-f]{32}", file.md5 or "0" * 32)
        for url in file.urls:
            parts = urlsplit(url)
            assert parts.scheme in ("http", "https")
            assert "." in parts.netloc
            assert "@" not in parts.netloc
            assert parts.path not in ("", "/")


def test_criteo_has_a_checksum_for_every_day() -> None:
    (days,) = MODELS["dlrm"].dataset.series
    assert list(days.md5s) == list(days.items) == [str(day) for day in range(24)]
    assert len(set(days.md5s.values())) == 24
    assert days.md5s["23"] == "a2748bdbc67dd544b3ac470c4f1a52df"


def test_kits19_offers_the_cases_that_the_benchmark_takes() -> None:
    taken = {name.removeprefix("case_") for name in cases.OFFICIAL if name not in cases.COPIES}
    assert [set(series.items) for series in MODELS["3d-unet"].dataset.series] == [taken, taken]


def test_files_that_need_an_account_or_are_optional_are_marked() -> None:
    datasets = {model.dataset.name: model.dataset for model in CATALOG.models}
    files = [file for dataset in datasets.values() for file in dataset.files]
    assert [file.name for file in files if file.account] == ["ILSVRC2012_img_val.tar"]
    assert {file.name for file in files if file.optional} == {
        "ILSVRC2012_img_val_500.tar",
        "validation-annotations-bbox.csv",
        "class-descriptions-boxable.csv",
        "dlrm_trace_of_aggregated_samples.txt",
    }
    assert [name for name, dataset in datasets.items() if dataset.convert] == ["criteo-terabyte"]


@pytest.mark.parametrize("model", CATALOG.models, ids=lambda model: model.name)
def test_targets_are_the_rules_shares_of_the_reference(model: ModelSpec) -> None:
    (score,) = model.accuracy
    assert score.sense is Sense.AT_LEAST
    assert score.target == pytest.approx(0.99 * score.reference, rel=1e-9)
    if score.high_target is not None:
        assert score.high_target == pytest.approx(0.999 * score.reference, rel=1e-9)


def test_only_some_benchmarks_have_the_high_level() -> None:
    assert {name for name, model in MODELS.items() if model.accuracy[0].high_target} == {"bert", "3d-unet", "dlrm"}


@pytest.mark.parametrize(
    ("model", "backend", "precision", "name", "md5"),
    [
        ("resnet50", "onnxruntime", "fp32", "resnet50_v1.onnx", "f6a4da60cd5f084d97efc2c1ddb10beb"),
        ("resnet50", "tensorflow", "fp32", "resnet50_v1.pb", "7b94a2da05dd30f6c0af23a46bc08886"),
        ("resnet50", "pytorch", "fp32", "resnet50-19c8e357.pth", "9e9c86b324d80e65229fab49b8d9a8e8"),
        ("retinanet", "onnxruntime", "fp32", "resnext50_32x4d_fpn.onnx", "4544f4e56e0a4684215831cc937ea45c"),
        ("bert", "onnxruntime", "int8", "bert_large_v1_1_fake_quant.onnx", "45f88ffb2915362242703c85c38ec2d4"),
        ("bert", "tensorflow", "fp32", "model.pb", "dd72de12e8226f25f0128a1a864b97ad"),
        (
            "3d-unet",
            "onnxruntime",
            "fp32",
            "3dunet_kits19_128x128x128_dynbatch.onnx",
            "82f0618fde78f9839e7c712274019b4a",
        ),
        ("dlrm", "pytorch", "fp32", "tb00_40M.pt", "2d49a5288cddb37c3c64860a06d79bb9"),
    ],
)
def test_the_file_that_a_run_takes(model: str, backend: str, precision: str, name: str, md5: str) -> None:
    first, *_ = officials(MODELS[model], backend, Precision(precision), folder=Path())
    assert first.first
    assert (first.file.name, first.file.md5) == (name, md5)


@pytest.mark.parametrize(
    ("model", "backend"), [("retinanet", "tensorflow"), ("rnnt", "onnxruntime"), ("dlrm", "tensorflow")]
)
def test_some_backends_have_no_official_file(model: str, backend: str) -> None:
    assert officials(MODELS[model], backend, Precision.FP32, folder=Path()) == []


def test_two_files_of_one_name_differ_by_checksum() -> None:
    pair = [file.md5 for file in MODELS["resnet50"].files if file.name == "resnet50_v1.onnx"]
    assert pair == ["f6a4da60cd5f084d97efc2c1ddb10beb", "a638cf028b5870da29e09ccc2f7182e7"]


def test_data_sets_have_upstreams_sample_counts() -> None:
    counts = {model.dataset.name: model.dataset.count for model in CATALOG.models}
    assert (
        counts
        | {
            "imagenet2012": 50000,
            "openimages-mlperf": 24781,
            "squad-v1.1": 10833,
            "kits19": 43,
            "librispeech-dev-clean": 2513,
            "criteo-terabyte": 330067,
        }
        == counts
    )
