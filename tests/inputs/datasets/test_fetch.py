"""`data fetch`: the catalog's own data sets, from a server that has them in small, in the official forms."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import DatasetSpec
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import DatasetError, UsageError
from mlperf_docker.inputs.datasets import location, unpacking
from mlperf_docker.inputs.datasets.fetch import DatasetRequest, FetchedDataset, NeedsAccountError, fetch_dataset
from mlperf_docker.inputs.download import address
from mlperf_docker.inputs.download.wanted import DownloadError, FetchError
from mlperf_docker.system.paths import assets
from tests.fakes.web_server import Behaviour, Server, serving
from tests.fixtures.tool_on_catalog import ToolOnCatalog
from tests.inputs.datasets.test_unpacking import tarred, zipped

RANDOM = random.Random(5)  # noqa: S311  # for bytes and moments, not for secrets
CHAPTER = "LibriSpeech/dev-clean/2277/149896"
SPEECH = {
    f"{CHAPTER}/2277-149896.trans.txt": b"2277-149896-0000 HE WAS IN A FEVERED STATE OF MIND\n",
    f"{CHAPTER}/2277-149896-0000.flac": b"fLaC" + RANDOM.randbytes(4000),
    "LibriSpeech/README.TXT": b"about it",
}
IMAGES = {f"{number:016x}.jpg": RANDOM.randbytes(20_000) for number in range(30)}
CASES = 42


class Silent:
    """A display that keeps what was said, from several threads."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.counts: list[tuple[int, int | None]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def phase(self, name: str) -> None:
        self.said.append(name)

    def progress(self, done: int, total: int | None, unit: str) -> None:
        if unit == "files":
            self.counts.append((done, total))

    def part(self, name: str, done: int, total: int | None) -> None:
        pass

    def part_over(self, name: str) -> None:
        pass


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(address, "BACKOFF_S", 0.001)
    monkeypatch.setattr(address, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(b"") as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    return tmp_path / "set"


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def offer(server: Server, contents: Mapping[str, bytes]) -> None:
    """Let the mirror on *server* have *contents* (path → bytes)."""
    for path, content in contents.items():
        server.behaviours[f"/m/{path}"] = [Behaviour(content=content)]


def dataset(catalog: Catalog, name: str, contents: Mapping[str, bytes]) -> DatasetSpec:
    """Return the catalog's data set with the checksums of *contents* in place of the real files'."""
    spec = next(model.dataset for model in catalog.models if model.dataset.name == name)
    files = tuple(
        file.model_copy(update={"md5": md5(contents[file.target])}) if file.target in contents else file
        for file in spec.files
    )
    series = tuple(
        each.model_copy(
            update={
                "md5s": {item: md5(contents[each.path.replace("{item}", item)]) for item in each.md5s},
                "size_bytes": None,
            }
        )
        for each in spec.series
    )
    return spec.model_copy(update={"files": files, "series": series})


def got(
    spec: DatasetSpec, folder: Path | None, server: Server, display: Silent | None = None, **options: Any
) -> FetchedDataset:
    request = DatasetRequest(spec, "some-model", folder, **{"url": f"{server.url}/m/", **options})
    return fetch_dataset(request, display or Silent())


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def squad(catalog: Catalog, server: Server) -> DatasetSpec:
    contents = {"dev-v1.1.json": b'{"version": "1.1"}', "vocab.txt": b"[PAD]\n"}
    offer(server, contents)
    return dataset(catalog, "squad-v1.1", contents)


@pytest.fixture
def speech(catalog: Catalog, server: Server) -> DatasetSpec:
    contents = {"dev-clean.tar.gz": tarred(SPEECH)}
    offer(server, contents)
    return dataset(catalog, "librispeech-dev-clean", contents)


@pytest.fixture
def openimages(catalog: Catalog, server: Server) -> DatasetSpec:
    annotations = json.dumps({"images": [{"id": 1, "file_name": name} for name in IMAGES]}).encode()
    archive = "openimages-mlperf_annotations_2.1.json.zip"
    contents = {archive: zipped({"openimages-mlperf.json": annotations})}
    offer(server, {**contents, **{f"validation/data/{name}": content for name, content in IMAGES.items()}})
    return dataset(catalog, "openimages-mlperf", contents)


def test_files_are_fetched_verified_and_left_alone_the_second_time(
    squad: DatasetSpec, server: Server, folder: Path
) -> None:
    outcome = got(squad, folder, server)
    assert left(folder) == {"dev-v1.1.json", "vocab.txt"}
    assert outcome.usable
    assert outcome.next == f"mlperf-docker data verify squad-v1.1 {folder}"
    assert [(part.name, part.new) for part in outcome.parts] == [("dev-v1.1.json", 1), ("vocab.txt", 1)]
    assert len(server.seen) == 2
    assert [part.new for part in got(squad, folder, server).parts] == [0, 0]
    assert len(server.seen) == 2


def test_a_broken_connection_is_gone_on_with(squad: DatasetSpec, server: Server, folder: Path) -> None:
    content = b'{"version": "1.1"}'
    server.address("m/dev-v1.1.json", Behaviour(content=content, stop_after=5), Behaviour(content=content))
    assert got(squad, folder, server).usable
    assert [each.range for each in server.seen if "dev" in each.path] == [None, "bytes=5-"]


def test_a_wrong_checksum_leaves_nothing_under_the_name(squad: DatasetSpec, server: Server, folder: Path) -> None:
    server.address("m/vocab.txt", Behaviour(content=b"[UNK]\n"))
    with pytest.raises(FetchError, match="is expected") as caught:
        got(squad, folder, server)
    assert caught.value.exit_code is ExitCode.DATASET
    assert left(folder) == {"dev-v1.1.json"}


def test_an_archive_is_unpacked_once(speech: DatasetSpec, server: Server, folder: Path) -> None:
    outcome = got(speech, folder, server)
    assert outcome.usable
    assert {name: (folder / name).read_bytes() for name in SPEECH} == SPEECH
    assert left(folder) == {*SPEECH, "dev-clean.tar.gz", ".dev-clean.tar.gz.unpacked"}
    (folder / "dev-clean.tar.gz").unlink()  # it has served its purpose
    assert [part.new for part in got(speech, folder, server).parts] == [0]
    assert len(server.seen) == 1
    assert not (folder / "dev-clean.tar.gz").exists()


def test_a_file_that_was_lost_comes_out_of_the_archive_again(speech: DatasetSpec, server: Server, folder: Path) -> None:
    got(speech, folder, server)
    (folder / CHAPTER / "2277-149896-0000.flac").unlink()
    got(speech, folder, server)
    assert {name: (folder / name).read_bytes() for name in SPEECH} == SPEECH
    assert len(server.seen) == 1


def test_two_at_once_fetch_and_unpack_once(
    speech: DatasetSpec, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = unpacking._write

    def slowly(*arguments: Any) -> None:
        time.sleep(0.1)
        write(*arguments)

    monkeypatch.setattr(unpacking, "_write", slowly)
    displays = [Silent(), Silent()]
    threads = [threading.Thread(target=got, args=(speech, folder, server, each)) for each in displays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: (folder / name).read_bytes() for name in SPEECH} == SPEECH
    assert len(server.seen) == 1
    assert sum("unpack dev-clean.tar.gz" in each.said for each in displays) == 1


@pytest.fixture
def photographs() -> dict[str, bytes]:
    """What ImageNet's two archives hold, in small: the images, flat, and the labels among other lists."""
    images = {f"ILSVRC2012_val_{number:08d}.JPEG": RANDOM.randbytes(500) for number in (1, 2)}
    labels = {"train.txt": b"n01440764/1.JPEG 0\n", "val.txt": b"".join(b"%s 65\n" % name.encode() for name in images)}
    return {"ILSVRC2012_img_val.tar": tarred(images, "w"), "caffe_ilsvrc12.tar.gz": tarred(labels)}


def test_imagenet_needs_an_account(
    catalog: Catalog, photographs: dict[str, bytes], server: Server, folder: Path
) -> None:
    offer(server, photographs)
    spec = dataset(catalog, "imagenet2012", photographs)
    with pytest.raises(NeedsAccountError, match="account") as caught:
        got(spec, folder, server, url="")
    assert caught.value.exit_code is ExitCode.DATASET
    assert f"put it at {folder}/ILSVRC2012_img_val.tar" in str(caught.value.hint)
    assert not server.seen
    assert not left(folder)


def test_imagenet_that_the_user_put_there_is_verified_and_unpacked(
    catalog: Catalog, photographs: dict[str, bytes], server: Server, folder: Path
) -> None:
    spec = dataset(catalog, "imagenet2012", photographs)
    (folder / "ILSVRC2012_img_val.tar").write_bytes(photographs["ILSVRC2012_img_val.tar"][:-1])
    with pytest.raises(DatasetError, match="not the official file"):
        got(spec, folder, server, url="")
    (folder / "ILSVRC2012_img_val.tar").write_bytes(photographs["ILSVRC2012_img_val.tar"])
    (folder / "caffe_ilsvrc12.tar.gz").write_bytes(photographs["caffe_ilsvrc12.tar.gz"])
    assert got(spec, folder, server, url="").usable
    assert len((folder / "val_map.txt").read_text().splitlines()) == 2
    assert (folder / "ILSVRC2012_val_00000002.JPEG").stat().st_size == 500
    assert not (folder / "train.txt").exists()
    assert not server.seen


def test_imagenet_from_a_mirror_of_ones_own(
    catalog: Catalog, photographs: dict[str, bytes], server: Server, folder: Path
) -> None:
    offer(server, photographs)
    assert got(dataset(catalog, "imagenet2012", photographs), folder, server).usable
    assert (folder / "ILSVRC2012_val_00000001.JPEG").exists()


def test_images_are_those_of_the_annotations(openimages: DatasetSpec, server: Server, folder: Path) -> None:
    display = Silent()
    outcome = got(openimages, folder, server, display)
    assert {path.name: path.read_bytes() for path in (folder / "validation/data").iterdir()} == IMAGES
    assert (folder / "annotations/openimages-mlperf.json").is_file()
    assert outcome.usable
    assert outcome.parts[-1].new == len(IMAGES)
    assert max(display.counts) == (len(IMAGES), len(IMAGES))
    requests = len(server.seen)
    again = Silent()
    assert got(openimages, folder, server, again).parts[-1].new == 0
    assert len(server.seen) == requests == len(IMAGES) + 1
    assert not again.said, "24,781 images are not told one by one"


def test_an_image_that_is_missing_does_not_keep_the_others_back(
    openimages: DatasetSpec, server: Server, folder: Path
) -> None:
    lost = next(iter(IMAGES))
    server.address(f"m/validation/data/{lost}", Behaviour(status=404))
    with pytest.raises(FetchError, match=f"{lost} could not be fetched") as caught:
        got(openimages, folder, server)
    assert caught.value.exit_code is ExitCode.DATASET
    assert len(list((folder / "validation/data").iterdir())) == len(IMAGES) - 1
    offer(server, {f"validation/data/{lost}": IMAGES[lost]})
    before = len(server.seen)
    assert got(openimages, folder, server).usable
    assert len(server.seen) == before + 1


def test_a_server_without_any_image_is_not_asked_for_each(
    openimages: DatasetSpec, server: Server, folder: Path
) -> None:
    for name in IMAGES:
        server.address(f"m/validation/data/{name}", Behaviour(status=404))
    with pytest.raises(FetchError, match=r"At least 1\d of 30 files of images of openimages-mlperf"):
        got(openimages, folder, server, jobs=2)
    assert len(server.seen) < 20


@pytest.mark.parametrize("own", [False, True])
def test_images_alone_need_their_annotations(openimages: DatasetSpec, server: Server, folder: Path, own: bool) -> None:
    options = {} if own else {"url": ""}
    with pytest.raises(DatasetError, match=r"openimages-mlperf\.json is not there") as caught:
        got(openimages, folder, server, None, part="images", **options)
    assert f"mlperf-docker data fetch openimages-mlperf {folder}" in str(caught.value.hint)
    assert not server.seen


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no list of images"),
        ('{"images": 3}', "no list of images"),
        ('{"images": []}', "it lists no image"),
        ('{"images": [{"file_name": "../../out.jpg"}]}', "no plain file name, like '../../out.jpg'"),
        ('{"images": [{"file_name": 7}]}', "no plain file name"),
    ],
)
def test_annotations_that_cannot_be_followed(
    openimages: DatasetSpec, server: Server, folder: Path, text: str, said: str
) -> None:
    (folder / "annotations").mkdir()
    (folder / "annotations/openimages-mlperf.json").write_text(text)
    with pytest.raises(DatasetError, match=said):
        got(openimages, folder, server, part="images")
    assert not server.seen


def test_annotations_of_ones_own_are_not_replaced(openimages: DatasetSpec, server: Server, folder: Path) -> None:
    (folder / "annotations").mkdir()
    (folder / "annotations/openimages-mlperf.json").write_text('{"images": []}')
    with pytest.raises(DatasetError, match="other files where those of"):
        got(openimages, folder, server)
    assert (folder / "annotations/openimages-mlperf.json").read_text() == '{"images": []}'


def test_kits19_comes_case_by_case(catalog: Catalog, server: Server, folder: Path) -> None:
    spec = dataset(catalog, "kits19", {})
    items = spec.series[0].items
    offer(server, {f"data/case_{item}/{file}.nii.gz": f"{file} {item}".encode() for item in items for file in FILES})
    assert got(spec, folder, server).usable
    assert len(items) == CASES
    assert (folder / "data/case_00185/segmentation.nii.gz").read_text() == "segmentation 00185"
    assert len(left(folder)) == 2 * CASES


FILES = ("imaging", "segmentation")


def test_criteo_is_fetched_and_has_to_be_converted(catalog: Catalog, server: Server, folder: Path) -> None:
    days = {f"day_{day}.gz": RANDOM.randbytes(2000) for day in range(24)}
    offer(server, days)
    spec = dataset(catalog, "criteo-terabyte", days)
    broken = Behaviour(content=days["day_3.gz"], stop_after=700)
    server.address("m/day_3.gz", broken, Behaviour(content=days["day_3.gz"]))
    server.address("m/day_5.gz", Behaviour(content=b"another day"))
    with pytest.raises(FetchError, match=r"day_5\.gz could not be fetched"):
        got(spec, folder, server)
    assert left(folder) == days.keys() - {"day_5.gz"}
    assert [each.range for each in server.seen if "day_3." in each.path] == [None, "bytes=700-"]
    offer(server, days)
    outcome = got(spec, folder, server)
    assert not outcome.usable
    assert outcome.next == f"mlperf-docker data convert some-model --from {folder} --to ANOTHER-DIR"
    assert {name: (folder / name).read_bytes() for name in days} == days


def test_without_a_folder_it_goes_where_the_other_commands_look(
    catalog: Catalog, squad: DatasetSpec, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPERF_DOCKER_DATA", str(tmp_path / "made/on/demand"))
    outcome = got(squad, None, server)
    assert outcome.folder == tmp_path / "made/on/demand/squad-v1.1" == location.place(squad)
    assert (outcome.usable, outcome.next) == (True, "mlperf-docker data verify squad-v1.1")
    days = {f"day_{day}.gz": b"%d" % day for day in range(24)}
    offer(server, days)
    raw = got(dataset(catalog, "criteo-terabyte", days), None, server)
    assert raw.folder == tmp_path / "made/on/demand/criteo-terabyte/raw"
    assert raw.next == "mlperf-docker data convert some-model"


def test_a_failed_fetch_leaves_nothing_that_a_run_takes_for_data(
    catalog: Catalog, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPERF_DOCKER_DATA", str(tmp_path))
    spec = dataset(catalog, "imagenet2012", {})
    with pytest.raises(NeedsAccountError, match="account") as caught:
        got(spec, None, server, url="")
    assert f"put it at {tmp_path}/imagenet2012/" in str(caught.value.hint)
    assert not location.is_there(location.place(spec))


def test_a_disk_too_small_is_told_before_anything_is_fetched(
    catalog: Catalog, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = next(model.dataset for model in catalog.models if model.name == "dlrm")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 100_000_000_000})())
    with pytest.raises(DatasetError, match="about 343 GB are to come, and 100 GB are free"):
        got(spec, folder, server)
    for day in range(18):
        (folder / f"day_{day}.gz").touch()
    with pytest.raises(FetchError):  # a quarter fits, and the empty files are no days
        got(spec, folder, server)


def test_a_disk_that_is_full_is_an_error_of_the_data_set(
    openimages: DatasetSpec, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got(openimages, folder, server, part="openimages-mlperf_annotations_2.1.json.zip")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 1000})())
    with pytest.raises(DownloadError, match="has no room") as caught:
        got(openimages, folder, server)
    assert caught.value.exit_code is ExitCode.DATASET
    assert "name another folder as DIR" in str(caught.value.hint)
    assert not list((folder / "validation/data").iterdir())


def test_a_file_where_a_folder_belongs(catalog: Catalog, server: Server, folder: Path) -> None:
    (folder / "data").touch()
    with pytest.raises(DatasetError, match=r"data/case_\d+ cannot be made"):
        got(dataset(catalog, "kits19", {}), folder, server)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "mirror"}, "--url is no address"),
        ({"url": "http://mirror.example/file"}, "squad-v1.1 has several"),
        ({"part": "vocab"}, "Did you mean vocab.txt"),
        ({"folder": "missing"}, "does not exist"),
    ],
)
def test_requests_that_cannot_be_meant(
    squad: DatasetSpec, server: Server, folder: Path, options: dict[str, Any], said: str
) -> None:
    place = folder / options.pop("folder", "")
    with pytest.raises(UsageError) as caught:
        got(squad, place, server, **options)
    assert said in "\n".join(caught.value.lines())
    assert not server.seen


def test_one_file_by_its_own_address(squad: DatasetSpec, server: Server, folder: Path) -> None:
    server.address("elsewhere", Behaviour(content=b"[PAD]\n"))
    outcome = got(squad, folder, server, part="vocab.txt", url=f"{server.url}/elsewhere")
    assert left(folder) == {"vocab.txt"}
    assert not outcome.usable
    assert outcome.next == f"mlperf-docker data fetch squad-v1.1 {folder}"


class Tool(ToolOnCatalog):
    """The command, with OpenImages as its catalog has it but for the annotations' checksum, and a home of its own."""

    def __init__(self, root: Path, checksum: str) -> None:
        raw = yaml.safe_load((assets() / "images.yaml").read_text())
        raw["datasets"]["openimages-mlperf"]["files"][0]["md5"] = checksum
        super().__init__(root / "catalog", root / "home")
        self.catalog.mkdir()
        (self.catalog / "images.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return super().start("data", "fetch", *arguments)


@pytest.fixture
def tool(openimages: DatasetSpec, tmp_path: Path) -> Tool:
    return Tool(tmp_path, str(openimages.files[0].md5))


def test_data_fetch_prints_the_place_and_the_next_command(tool: Tool, server: Server, folder: Path) -> None:
    mirror = ("--url", f"{server.url}/m/")
    out, err = tool("retinanet", str(folder), *mirror)
    assert f"OpenImages v6 validation set, 264 classes at {folder}:" in out
    assert f"Next: mlperf-docker data verify openimages-mlperf {folder}\n" in out
    assert "Not verified, as nobody published checksums: images." in out
    assert "unpack openimages-mlperf_annotations_2.1.json.zip" in err
    said = json.loads(tool("openimages-mlperf", str(folder), *mirror, "--json")[0])
    assert (said["name"], said["path"], said["usable"]) == ("openimages-mlperf", str(folder), True)
    size = sum(map(len, IMAGES.values()))
    images = {"name": "images", "files": len(IMAGES), "new": 0, "size_bytes": size, "verified": False}
    assert said["parts"][-1] == images
    assert said["parts"][0]["verified"]
    assert "Did you mean openimages-mlperf?" in tool("openimages-mlper", str(folder), expect=ExitCode.USAGE)[1]
    assert "account" in tool("imagenet2012", str(folder), expect=ExitCode.DATASET)[1]
    server.address("m/validation/data/gone")
    (folder / "validation/data" / next(iter(IMAGES))).unlink()
    server.address(f"m/validation/data/{next(iter(IMAGES))}", Behaviour(status=404))
    out, err = tool("retinanet", str(folder), *mirror, expect=ExitCode.DATASET)
    assert (out, "404 Not Found" in err) == ("", True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_data_fetch_goes_on_after_an_interruption(
    tool: Tool, server: Server, folder: Path, number: signal.Signals
) -> None:
    """Whatever is left is images that are whole and beginnings of others; in the end they are all there, and right."""
    for name, content in IMAGES.items():
        server.address(f"m/validation/data/{name}", Behaviour(content=content, seconds_a_piece=0.05))
    stopped = 0
    for _ in range(8):
        before = len(server.seen)
        process = tool.start("retinanet", str(folder), "--url", f"{server.url}/m/", "--jobs", "2")
        while len(server.seen) == before and process.poll() is None:
            time.sleep(0.002)
        time.sleep(RANDOM.uniform(0, 0.3))
        if process.poll() is None:
            os.killpg(process.pid, number)
        _, err = process.communicate(timeout=30)
        assert "Traceback" not in err
        if process.returncode == ExitCode.INTERRUPTED:
            assert "Interrupted" in err
        stopped += process.returncode in (ExitCode.INTERRUPTED, -signal.SIGKILL)
        for path in (folder / "validation/data").glob("*.jpg"):
            assert path.read_bytes() == IMAGES[path.name]
        for path in (folder / "validation/data").glob("*.partial"):
            assert IMAGES[path.stem].startswith(path.read_bytes())
    assert stopped > 2, "most of the moments were in the middle"
    tool("retinanet", str(folder), "--url", f"{server.url}/m/")
    assert {path.name: path.read_bytes() for path in (folder / "validation/data").iterdir()} == IMAGES
