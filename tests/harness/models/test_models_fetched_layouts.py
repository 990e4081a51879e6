"""Layouts made by `data fetch`, read by the harness: official names and formats, from a server on loopback."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.harness.models.bert.dataset import open_squad
from mlperf_docker.harness.models.dlrm.days import day_files
from mlperf_docker.harness.models.resnet50.dataset import open_imagenet
from mlperf_docker.harness.models.retinanet.dataset import ANNOTATIONS, open_openimages
from mlperf_docker.harness.models.rnnt.dataset import open_librispeech
from mlperf_docker.harness.models.unet3d import cases
from mlperf_docker.harness.models.unet3d.dataset import open_kits19
from mlperf_docker.inputs.datasets import location
from mlperf_docker.inputs.datasets.fetch import DatasetRequest, FetchedDataset, fetch_dataset
from tests.cells.imagenet import lay_out_noise
from tests.fakes.web_server import Behaviour, Server, serving
from tests.harness.models.bert import test_dataset as test_bert_data
from tests.harness.models.retinanet import test_dataset as test_retinanet_data
from tests.harness.models.rnnt.test_dataset import unpacked as unpacked  # a fixture
from tests.harness.models.unet3d import test_dataset as test_unet3d_data
from tests.inputs.datasets.test_fetch import Silent
from tests.inputs.datasets.test_unpacking import tarred, zipped

Contents = dict[str, bytes]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(b"") as running:
        yield running


def files_of(folder: Path) -> Contents:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fetched(catalog: Catalog, server: Server, model: str, folder: Path, contents: Contents) -> FetchedDataset:
    """Fetch the data set of *model* from a mirror that has *contents*, which nobody published a checksum of."""
    for path, content in contents.items():
        server.behaviours[f"/{path}"] = [Behaviour(content=content)]
    spec = next(each.dataset for each in catalog.models if each.name == model)
    files = tuple(file.model_copy(update={"md5": None}) for file in spec.files)
    series = tuple(each.model_copy(update={"md5s": {}, "size_bytes": None}) for each in spec.series)
    spec = spec.model_copy(update={"files": files, "series": series})
    folder.mkdir()
    outcome = fetch_dataset(DatasetRequest(spec, model, folder, url=f"{server.url}/"), Silent())
    if outcome.usable:
        assert location.check_folder(spec, folder) == folder
    return outcome


def test_imagenet(catalog: Catalog, server: Server, tmp_path: Path) -> None:
    images = files_of(lay_out_noise(tmp_path / "made", count=3))
    labels = {"train.txt": b"", "val.txt": images.pop("val_map.txt")}
    contents = {"ILSVRC2012_img_val.tar": tarred(images, "w"), "caffe_ilsvrc12.tar.gz": tarred(labels, "w:gz")}
    assert fetched(catalog, server, "resnet50", tmp_path / "set", contents).usable
    assert open_imagenet(tmp_path / "set").count == 3


def test_openimages(catalog: Catalog, server: Server, tmp_path: Path) -> None:
    made = test_retinanet_data.write(tmp_path / "made", test_retinanet_data.described(4))
    contents = files_of(made)
    archive = zipped({Path(ANNOTATIONS).name: contents.pop(ANNOTATIONS)})
    contents["openimages-mlperf_annotations_2.1.json.zip"] = archive
    assert fetched(catalog, server, "retinanet", tmp_path / "set", contents).usable
    assert open_openimages(tmp_path / "set").names == open_openimages(made).names


def test_squad(catalog: Catalog, server: Server, tmp_path: Path) -> None:
    contents = files_of(test_bert_data.write(tmp_path / "made", test_bert_data.described()))
    assert fetched(catalog, server, "bert", tmp_path / "set", contents).usable
    assert len(open_squad(tmp_path / "set").questions) == 4


def test_kits19(catalog: Catalog, server: Server, tmp_path: Path) -> None:
    for name in cases.OFFICIAL:
        if name not in cases.COPIES:
            test_unet3d_data.write_case(tmp_path / "made/data" / name, (4, 5, 6))
    assert fetched(catalog, server, "3d-unet", tmp_path / "set", files_of(tmp_path / "made")).usable
    dataset = open_kits19(tmp_path / "set")
    assert dataset.names == cases.OFFICIAL
    assert dataset.folders[-1].name == "case_00185"


def test_librispeech(catalog: Catalog, server: Server, tmp_path: Path, unpacked: Path) -> None:
    contents = {"dev-clean.tar.gz": tarred(files_of(unpacked), "w:gz")}
    assert fetched(catalog, server, "rnnt", tmp_path / "set", contents).usable
    found, made = open_librispeech(tmp_path / "set"), open_librispeech(unpacked)
    assert [each.path.name for each in found.utterances] == [each.path.name for each in made.utterances]


def test_criteo(catalog: Catalog, server: Server, tmp_path: Path) -> None:
    contents = {f"day_{day}.gz": gzip.compress(b"1\t2\n") for day in range(24)}
    outcome = fetched(catalog, server, "dlrm", tmp_path / "set", contents)
    assert not outcome.usable
    assert outcome.next.startswith("mlperf-docker data convert dlrm --from ")
    assert list(day_files(tmp_path / "set", range(24))) == list(range(24))
