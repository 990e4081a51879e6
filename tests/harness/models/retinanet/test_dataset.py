"""The data set and its scoring: what is wrong with it is named, and numbers are upstream's."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api.errors import DatasetError, SampleError
from mlperf_docker.harness.api.scores import SyntheticKind, SyntheticSet
from mlperf_docker.harness.models.opening import CpuAnswerer
from mlperf_docker.harness.models.retinanet import accuracy, preprocess
from mlperf_docker.harness.models.retinanet.benchmark import RetinaNet
from mlperf_docker.harness.models.retinanet.dataset import ANNOTATIONS, open_openimages
from tests.harness.process import Harness

RNG = np.random.default_rng(5)


def silent(done: int, total: int, unit: str) -> None:
    pass


def described(count: int) -> dict[str, Any]:
    """An annotation file with one box for each of *count* images, all of 64 x 48."""
    images = [{"id": n + 1, "file_name": f"{n}.jpg", "height": 48, "width": 64} for n in range(count)]
    box = {"bbox": [8.0, 6.0, 16.0, 12.0], "area": 192.0, "iscrowd": 0}
    annotations = [{"id": n + 1, "image_id": n + 1, "category_id": n % 3, **box} for n in range(count)]
    return {"images": images, "annotations": annotations, "categories": [{"id": n} for n in range(264)]}


def picture(height: int, width: int) -> NDArray[np.uint8]:
    coarse = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def write(root: Path, content: Any, folder: str = "validation/data") -> Path:
    (root / "annotations").mkdir(parents=True)
    (root / ANNOTATIONS).write_text(content if isinstance(content, str) else json.dumps(content))
    for image in content["images"] if isinstance(content, dict) else ():
        if isinstance(image, dict) and "file_name" in image:
            path = root / folder / image["file_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), picture(48, 64))
    return root


def test_samples_are_the_files_images_in_its_order(tmp_path: Path) -> None:
    content = described(4)
    content["images"].reverse()
    dataset = open_openimages(write(tmp_path, content), limit=3)
    assert dataset.names == ("3.jpg", "2.jpg", "1.jpg")
    assert dataset.numbers == (4, 3, 2)
    assert dataset.annotations.image.tolist() == [2, 1, 0]
    assert dataset.annotations.number.tolist() == [2, 3, 4]
    assert dataset.extents[0].tolist() == [48, 64]


def test_names_with_a_folder_and_images_beside_the_annotations(tmp_path: Path) -> None:
    plain = open_openimages(write(tmp_path / "a", described(2), "."))
    assert plain.folder == tmp_path / "a"
    content = described(2)
    for image in content["images"]:
        image["file_name"] = f"validation/data/{image['file_name']}"
    assert open_openimages(write(tmp_path / "b", content, ".")).count == 2


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: c["annotations"][1].update(bbox=[1, float("nan"), 2, 3]), "annotation 1.bbox[1]: no finite number"),
        (lambda c: c["annotations"][1].update(bbox=[1, float("inf"), 2, 3]), "annotation 1.bbox[1]: no finite number"),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, 3]), "annotation 1: bbox"),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, -3, 4]), "annotation 1: bbox"),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, 3e9, 4]), "annotation 1: bbox"),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, [3], 4]), "annotation 1: bbox"),
        (lambda c: c["annotations"][1].update(bbox={}), "annotation 1: bbox an object"),
        (lambda c: c["annotations"][1].update(area=-1), "annotation 1: area -1"),
        (lambda c: c["annotations"][1].update(area=[1]), "annotation 1: area [1]"),
        (lambda c: c["annotations"][1].update(iscrowd=float("nan")), "annotation 1.iscrowd: no finite number"),
        (lambda c: c["annotations"][1].update(iscrowd=[]), "annotation 1: iscrowd a list of 0"),
        (lambda c: c["annotations"][1].update(image_id=77), "annotation 1: there is no image 77"),
        (lambda c: c["annotations"][1].update(image_id=[1]), "annotation 1: there is no image [1]"),
        (lambda c: c["annotations"][1].update(image_id={}), "annotation 1: there is no image an object"),
        (lambda c: c["annotations"][1].update(category_id=264), "annotation 1: there is no category 264"),
        (lambda c: c["annotations"][1].update(category_id=[0]), "annotation 1: there is no category [0]"),
        (lambda c: c["annotations"][1].update(id=1), "annotation 1: id 1 is there already"),
        (lambda c: c["annotations"][1].update(id=[1]), "annotation 1: id [1] is no whole number"),
        (lambda c: c["annotations"][1].update(id=10**30), "annotation 1.id: no finite number"),
        (lambda c: c["annotations"][1].pop("area"), "annotation 1: lacks area"),
        (lambda c: c["images"][1].update(id=1), "image 1: id 1 is there already"),
        (lambda c: c["images"][1].update(id={}), "image 1: id an object of 0 is no whole number"),
        (lambda c: c["images"][1].pop("height"), "image 1: lacks height"),
        (lambda c: c["images"][1].update(width=0), "image 1: 48 x 0 is no size"),
        (lambda c: c["images"][1].update(width=10**9), "image 1: 48 x 1000000000 is no size"),
        (lambda c: c["images"][1].update(height=10**30), "image 1.height: no finite number"),
        (lambda c: c["images"][1].update(file_name="../x.jpg"), "leads out of the folder"),
        (lambda c: c["images"][1].update(file_name="/x.jpg"), "leads out of the folder"),
        (lambda c: c["images"][1].update(file_name="x\0.jpg"), "image 1: file_name 'x\\x00.jpg' has a character"),
        (lambda c: c["images"][1].update(file_name="\ud800.jpg"), "image 1.file_name: half a character"),
        (lambda c: c["images"][1].update(file_name="x" * 300), "is longer than a file's name can be"),
        (lambda c: c["images"][1].update(file_name=["0.jpg"]), "image 1: file_name ['0.jpg'] is no name"),
        (lambda c: c["images"][1].update(file_name="./0.jpg"), "image 1: file_name './0.jpg' is there already"),
        (lambda c: c["categories"].append({"id": 264}), "category 264: id 264 is not in 0..263"),
        (lambda c: c["categories"].append({"id": [1]}), "category 264: id [1] is not in 0..263"),
    ],
)
def test_an_annotation_that_cannot_be_is_named(tmp_path: Path, change: Change, problem: str) -> None:
    content = described(3)
    root = write(tmp_path, content)
    change(content)
    (root / ANNOTATIONS).write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="cannot be right") as raised:
        open_openimages(root)
    assert problem in raised.value.details[0]


def test_boxes_may_reach_out_of_their_pictures(tmp_path: Path) -> None:
    content = described(1)
    content["annotations"][0]["bbox"] = [-8, 40.5, 90, 0]
    assert open_openimages(write(tmp_path, content)).annotations.box.tolist() == [[-8, 40.5, 90, 0]]


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    root = write(tmp_path, described(1))
    (root / ANNOTATIONS).write_bytes(b"\xef\xbb\xbf" + (root / ANNOTATIONS).read_bytes())
    assert open_openimages(root).count == 1


def test_annotations_that_cannot_be_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    content = described(15)
    for entry in content["annotations"]:
        entry["bbox"] = None
    with pytest.raises(DatasetError, match="15 entries") as raised:
        open_openimages(write(tmp_path, content))
    assert raised.value.details[-1] == "… and 5 more"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "is no JSON"),
        ("[" * 200_000, "is no JSON.* too deep"),
        ('{"images": [], "images": []}', "has 1 value that cannot be right"),
        ("[]", "lacks: images, annotations, categories"),
        ('{"images": [], "annotations": []}', "lacks: categories"),
        ('{"images": [], "annotations": [], "categories": []}', "names no image"),
    ],
)
def test_an_annotation_file_that_is_not_coco_json_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(DatasetError, match=problem):
        open_openimages(write(tmp_path, content))
    with pytest.raises(DatasetError, match="no data set folder"):
        open_openimages(tmp_path / "nowhere")


def test_missing_and_damaged_images_are_counted_and_named(tmp_path: Path) -> None:
    root = write(tmp_path / "data", described(5))
    images = root / "validation/data"
    whole = (images / "2.jpg").read_bytes()
    (images / "2.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cache").mkdir()
    benchmark = RetinaNet()
    with pytest.raises(DatasetError, match="1 of 5 files") as raised:
        benchmark.preprocess(open_openimages(root), None, tmp_path / "cache", workers=1, report=silent)
    assert raised.value.details[0].startswith("2.jpg: truncated")
    with pytest.raises(DatasetError, match="1 of 5 files"):
        benchmark.verify(open_openimages(root), workers=1, report=silent)
    (images / "0.jpg").unlink()
    with pytest.raises(DatasetError, match="2 of 5 images") as raised:
        open_openimages(root)
    assert [detail.split(":")[0] for detail in raised.value.details] == ["0.jpg", "2.jpg"]


def plain(path: Path) -> NDArray[np.float32]:
    """The rule of the sheet, step by step, as one would write it down."""
    image: Any = np.array(cv2.imread(str(path)), dtype=np.float32)
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    image = cv2.resize(image, (800, 800), interpolation=cv2.INTER_LINEAR)
    image /= 255.0
    return np.asarray(image.transpose([2, 0, 1]))


@pytest.mark.arithmetic
def test_retinanet_samples_are_those_of_the_plain_rule(tmp_path: Path) -> None:
    extents = [(768, 1024), (1024, 683), (800, 800), (1600, 1600), (400, 400), (333, 517), (1, 3)]
    content = described(len(extents) + 1)
    root = write(tmp_path / "data", content)
    for number, (height, width) in enumerate(extents):
        cv2.imwrite(str(root / f"validation/data/{number}.jpg"), picture(height, width))
    cv2.imwrite(str(root / f"validation/data/{len(extents)}.jpg"), picture(90, 120)[:, :, 0])
    (tmp_path / "cache").mkdir()
    order = [*range(len(extents), -1, -1), 2]
    samples = RetinaNet().preprocess(open_openimages(root), None, tmp_path / "cache", workers=1, report=silent)
    (tensor,) = samples.load(order)
    assert tensor.flags.c_contiguous
    for index, found in zip(order, tensor, strict=True):
        np.testing.assert_array_equal(found, plain(root / f"validation/data/{index}.jpg"), err_msg=str(index))


def test_an_image_that_vanishes_after_the_check_is_named(tmp_path: Path) -> None:
    root = write(tmp_path / "data", described(2))
    samples = preprocess.OpenImagesSamples(open_openimages(root))
    (root / "validation/data/1.jpg").unlink()
    with pytest.raises(DatasetError, match=r"1\.jpg cannot be read: missing"):
        samples.load([0, 1])


Answer = tuple[int, list[list[float]]]


def log(path: Path, answers: list[Answer]) -> Path:
    """An accuracy log: for each sample rows of top, left, bottom, right, score, label."""
    entries = []
    for index, rows in answers:
        values = np.array([[index, *row] for row in rows], dtype=np.float32)
        entries.append({"seq_id": index, "qsl_idx": index, "data": values.tobytes().hex().upper()})
    path.write_text(json.dumps(entries))
    return path


RIGHT = [6 / 48, 8 / 64, 18 / 48, 24 / 64]
"""Where the box of `described` is."""


def test_map_of_cases_that_can_be_told_by_hand(tmp_path: Path) -> None:
    dataset = open_openimages(write(tmp_path / "data", described(3)))
    half = [6 / 48, 8 / 64, 18 / 48, 8 / 64 + 0.72 * 0.25]

    def score(*answers: Answer) -> float:
        return accuracy.score(log(tmp_path / "log.json", list(answers)), dataset).percent

    assert score((0, [[*RIGHT, 0.9, 0]])) == pytest.approx(100)
    assert score((0, [[*half, 0.9, 0]])) == pytest.approx(50)
    assert score((0, [[*RIGHT, 0.9, 0]]), (1, [])) == pytest.approx(50)
    assert score((0, [[*RIGHT, 0.9, 0]]), (1, [[*RIGHT, 0.9, 0]])) < 51
    assert score((0, [[*RIGHT, 0.9, 0], [0, 0, 1, 1, 0.95, 0]])) == pytest.approx(50)
    assert score((0, [[*RIGHT, 0.9, 0]]), (0, [])) == pytest.approx(100)
    assert score((0, []), (1, [])) == 0.0
    assert score() == 0.0
    assert str(accuracy.MeanPrecision(0.37547)) == "mAP=37.547%"


def test_impossible_answers_are_errors(tmp_path: Path) -> None:
    dataset = open_openimages(write(tmp_path / "data", described(2)))
    with pytest.raises(SampleError, match="has samples that the data set of 2 images does not"):
        accuracy.score(log(tmp_path / "log.json", [(2, [])]), dataset)
    path = log(tmp_path / "log.json", [(0, [[*RIGHT, 0.9, 0]])])
    content = json.loads(path.read_text())
    content[0]["qsl_idx"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(SampleError, match="sample 1 has a detection of sample 0"):
        accuracy.score(path, dataset)
    content[0]["data"] = content[0]["data"][:-8]
    path.write_text(json.dumps(content))
    with pytest.raises(SampleError, match="a part of a detection"):
        accuracy.score(path, dataset)


@pytest.fixture(scope="module")
def made(cache: Path) -> SyntheticSet:
    from mlperf_docker.harness.backends.onnxruntime.backend import OnnxRuntime

    return RetinaNet().synthesize(SyntheticKind(SyntheticSize.TINY), cache, CpuAnswerer(OnnxRuntime(), 2), silent)


def straight(path: Path, root: Path) -> float:
    """What COCO's evaluation says when everything is handed over at once, in the way of its own examples."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(root / ANNOTATIONS))
        found, images = [], []
        for entry in json.loads(path.read_text()):
            image = truth.dataset["images"][entry["qsl_idx"]]
            images.append(image["id"])
            for row in np.frombuffer(bytes.fromhex(entry["data"]), np.float32).reshape(-1, 7):
                height, width = np.float32(image["height"]), np.float32(image["width"])
                top, left, bottom, right = row[1] * height, row[2] * width, row[3] * height, row[4] * width
                box = [float(left), float(top), float(right - left), float(bottom - top)]
                found.append({"image_id": image["id"], "category_id": int(row[6]), "bbox": box, "score": float(row[5])})
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.params.imgIds = images
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * float(evaluation.stats[0])


@pytest.mark.parametrize("scenario", ["SingleStream", "MultiStream", "Server", "Offline"])
def test_accuracy_is_the_known_one(harness: Harness, made: SyntheticSet, tmp_path: Path, scenario: str) -> None:
    options = ("--model", "retinanet", "--scenario", scenario, "--mode", "accuracy", "--synthetic", "tiny")
    done = harness(*options, "--min-duration", 1)
    assert done.code == 0, done.events
    found = done.result["accuracy"]
    assert 20 < found["value"] < 80
    assert found["value"] == pytest.approx(made.facts["mAP"][-1], abs=1e-3)
    path = tmp_path / "results/mlperf_log_accuracy.json"
    assert straight(path, made.data) == pytest.approx(found["value"], abs=1e-9)
    assert (tmp_path / "results/accuracy.txt").read_text() == f"mAP={found['value']:.3f}%\n"
    mixed_up(path, made, found["value"])


def mixed_up(path: Path, made: SyntheticSet, right: float) -> None:
    """Whatever two neighbours' answers are swapped, and whichever answer is lost, the score shows it."""
    entries = {entry["qsl_idx"]: entry["data"] for entry in json.loads(path.read_text())}
    dataset = open_openimages(made.data)
    payloads = [np.frombuffer(bytes.fromhex(entries[index]), np.float32).copy() for index in range(dataset.count)]
    assert score(payloads, dataset) == pytest.approx(right, abs=1e-9)
    for index in range(dataset.count):
        lost, swapped = list(payloads), list(payloads)
        lost[index] = payloads[index][:0]
        other = (index + 1) % dataset.count
        swapped[index], swapped[other] = payloads[other], payloads[index]
        assert abs(score(lost, dataset) - right) > 0.01, index
        assert abs(score(swapped, dataset) - right) > 0.01, index


def score(payloads: list[NDArray[np.float32]], dataset: Any) -> float:
    owned = []
    for index, payload in enumerate(payloads):
        rows = payload.reshape(-1, 7).copy()
        rows[:, 0] = index
        owned.append(rows.reshape(-1))
    return accuracy.evaluate(accuracy.found(np.arange(len(owned)), owned, dataset), dataset).percent


def test_the_first_samples_have_a_known_accuracy_too(harness: Harness, made: SyntheticSet) -> None:
    options = ("--model", "retinanet", "--mode", "accuracy", "--synthetic", "tiny", "--samples", 7)
    done = harness(*options, "--min-duration", 1)
    assert done.code == 0, done.events
    assert done.result["accuracy"]["value"] == pytest.approx(made.facts["mAP"][6], abs=1e-3)
