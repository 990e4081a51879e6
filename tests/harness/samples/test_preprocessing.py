"""Preprocessing: upstream's bytes, bad files, and a cache that survives kills."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import DatasetError
from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.models.resnet50.dataset import open_imagenet
from mlperf_docker.harness.models.resnet50.network import Form
from mlperf_docker.harness.models.resnet50.preprocess import ImageNetSamples, crop_origin, job, target_size
from mlperf_docker.harness.samples.jpeg import has_end
from mlperf_docker.harness.samples.preprocessing import cached
from tests.harness.process import Finished, Harness, command, environment


def silent(done: int, total: int, unit: str) -> None:
    pass


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def jpeg(height: int, width: int, seed: int = 0) -> bytes:
    _, data = cv2.imencode(".jpg", picture(height, width, seed))
    return data.tobytes()


def plain(path: Path) -> NDArray[np.float32]:
    """The rule of the sheet, step by step, as one would write it down."""
    decoded: Any = cv2.imread(str(path))
    image: Any = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    size = (256, int(256 * height / width)) if height > width else (int(256 * width / height), 256)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    left, top = int((image.shape[1] - 224) / 2), int((image.shape[0] - 224) / 2)
    image = np.asarray(image[top : top + 224, left : left + 224], dtype=np.float32)
    image -= np.array([123.68, 116.78, 103.94], dtype=np.float32)
    return np.asarray(image.transpose(2, 0, 1))


def photographs(root: Path) -> list[str]:
    """Files of every kind that ImageNet holds: odd sizes, grey, CMYK, rotated by EXIF, PNG under another name."""
    from PIL import Image

    sizes = [(375, 500), (500, 375), (256, 256), (100, 333), (301, 257), (1200, 900)]
    for number, (height, width) in enumerate(sizes):
        (root / f"{number}.JPEG").write_bytes(jpeg(height, width, number))
    image = Image.fromarray(picture(300, 400))
    image.convert("L").save(root / "grey.JPEG", "JPEG")
    image.convert("CMYK").save(root / "cmyk.JPEG", "JPEG")
    image.save(root / "png.JPEG", "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(root / "rotated.JPEG", "JPEG", exif=exif)
    image.save(root / "progressive.JPEG", "JPEG", progressive=True)
    (root / "trailing.JPEG").write_bytes(jpeg(240, 320) + b"trailer of a camera")
    names = sorted(path.name for path in root.iterdir())
    (root / "val_map.txt").write_text("".join(f"{name} 1\n" for name in names))
    return names


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.arithmetic
def test_resnet50_samples_are_those_of_the_plain_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr("mlperf_docker.harness.samples.preprocessing.SMALL_SET_BYTES", 0)
    monkeypatch.setattr("mlperf_docker.harness.samples.preprocessing.CHUNK", 4)
    root, cache = tmp_path / "data", tmp_path / "cache"
    root.mkdir()
    cache.mkdir()
    names = photographs(root)
    samples = ImageNetSamples(cached(job(open_imagenet(root), Form()), cache, workers=workers, report=silent))
    (tensor,) = samples.load(range(len(names)))
    for name, found in zip(names, tensor, strict=True):
        np.testing.assert_array_equal(found, plain(root / name), err_msg=name)


def test_sizes_truncate_as_upstream_does() -> None:
    assert target_size(375, 500) == (341, 256)
    assert target_size(500, 375) == (256, 341)
    assert target_size(300, 300) == (256, 256)
    assert crop_origin(256, 341) == (16, 58)


def test_the_end_of_a_jpeg_is_found_whatever_follows() -> None:
    data = jpeg(64, 64)
    assert has_end(data)
    assert has_end(data + b"\x00" * 9 + b"junk")
    for cut in (len(data) - 1, len(data) - 2, len(data) // 2, 30, 3):
        assert not has_end(data[:cut])
    # A thumbnail ends too, but inside a segment.
    segment = b"\xff\xe1" + (2 + 4).to_bytes(2, "big") + b"\xff\xd8\xff\xd9"
    assert not has_end(data[:2] + segment + data[2 : len(data) // 2])


def finished(cache: Path) -> list[Path]:
    return [path.parent for path in cache.glob("preprocessed/*/index.json") if path.parent.suffix != ".partial"]


def damaged(root: Path) -> None:
    good = jpeg(300, 400)
    root.mkdir()
    files = {"good": good, "cut": good[: len(good) // 2], "nearly": good[:-2], "text": b"hello", "zeros": b"\0" * 99}
    files["filled"] = good[: len(good) // 2] + b"\x00" * 500
    for name, data in files.items():
        (root / f"{name}.JPEG").write_bytes(data)
    names = ["good", "cut", "nearly", "text", "zeros", "filled"]
    (root / "val_map.txt").write_text("".join(f"{name}.JPEG 1\n" for name in names))


def test_all_bad_images_are_named_and_none_is_cached(tmp_path: Path) -> None:
    damaged(tmp_path / "data")
    (tmp_path / "cache").mkdir()
    planned = job(open_imagenet(tmp_path / "data"), Form())
    for _ in range(2):
        with pytest.raises(DatasetError, match="5 of 6 files") as raised:
            cached(planned, tmp_path / "cache", workers=2, report=silent)
    assert [detail.split(".")[0] for detail in raised.value.details] == ["cut", "nearly", "text", "zeros", "filled"]
    assert "truncated" in raised.value.details[0]
    assert "not an image" in raised.value.details[2]
    assert not finished(tmp_path / "cache")


def test_good_images_are_not_read_again(tmp_path: Path) -> None:
    damaged(tmp_path / "data")
    (tmp_path / "cache").mkdir()
    done: list[int] = []
    planned = job(open_imagenet(tmp_path / "data"), Form())
    with pytest.raises(DatasetError):
        cached(planned, tmp_path / "cache", workers=1, report=silent)
    with pytest.raises(DatasetError):
        cached(planned, tmp_path / "cache", workers=1, report=lambda finished, total, unit: done.append(finished))
    assert done[0] == 1


def grainy(height: int, width: int, seed: int) -> bytes:
    """A JPEG of a quarter of a megabyte: a few of them are enough to be worth processes."""
    grain = np.random.default_rng(seed).integers(0, 60, (height, width, 3), dtype=np.uint8)
    _, data = cv2.imencode(".jpg", cv2.add(picture(height, width, seed), grain))
    return data.tobytes()


def many(root: Path, count: int) -> Path:
    root.mkdir()
    data = [grainy(700, 900, seed) for seed in range(4)]
    for number in range(count):
        (root / f"{number:04}.JPEG").write_bytes(data[number % 4] + bytes([0]) * number)
    (root / "val_map.txt").write_text("".join(f"{number:04}.JPEG 1\n" for number in range(count)))
    return root


def preprocess_command(root: Path, cache: Path) -> list[str]:
    cell = ("--model", "resnet50", "--backend", "onnxruntime")
    return command("preprocess", *cell, "--data", root, "--cache", cache, "--workers", 2)


def test_a_killed_run_is_taken_up_where_it_stopped(tmp_path: Path) -> None:
    root, cache = many(tmp_path / "data", 160), tmp_path / "cache"
    cache.mkdir()
    line = preprocess_command(root, cache)
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment(), start_new_session=True) as first:
        assert first.stdout is not None
        for text in first.stdout:
            event = json.loads(text)
            if event["event"] == "progress" and 0 < event["done"] < 130:
                break
        os.kill(first.pid, signal.SIGKILL)
        killed_at = event["done"]
    assert not finished(cache)
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=60, check=True)
    progress = [json.loads(text) for text in done.stdout.splitlines()]
    first_done = next(event["done"] for event in progress if event["event"] == "progress")
    assert killed_at <= first_done < 160
    (array,) = ImageNetSamples(cached(job(open_imagenet(root), Form()), cache, workers=1, report=silent)).load([0, 159])
    np.testing.assert_array_equal(array[0], plain(root / "0000.JPEG"))
    np.testing.assert_array_equal(array[1], plain(root / "0159.JPEG"))
    assert not list((cache / "preprocessed").glob("*.partial"))
    workers_gone(first.pid)


def session_of(path: Path) -> int:
    try:
        return os.getsid(int(path.name))
    except ProcessLookupError:
        return 0


def workers_gone(session: int) -> None:
    """The workers of a killed parent end by themselves."""
    end = time.monotonic() + 5
    while any(session_of(path) == session for path in Path("/proc").glob("[0-9]*")):
        assert time.monotonic() < end, "a worker outlived its parent"
        time.sleep(0.1)


def test_two_runs_at_once_make_one_entry(tmp_path: Path) -> None:
    root, cache = many(tmp_path / "data", 60), tmp_path / "cache"
    cache.mkdir()
    line = preprocess_command(root, cache)
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, env=environment()) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    for process in both:
        assert process.stdout is not None
        process.stdout.close()
    assert len(finished(cache)) == 1


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    root, cache = many(tmp_path / "data", 160), tmp_path / "cache"
    cache.mkdir()
    line = preprocess_command(root, cache)
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.5)
        process.terminate()
        events = [json.loads(text) for text in process.stdout]
    assert process.returncode == 130
    assert events[-1]["exit_code"] == 130


def test_a_cut_cache_entry_is_made_again(tmp_path: Path, tiny: SyntheticSet) -> None:
    planned = job(open_imagenet(tiny.data), Form())
    before = np.array(list(cached(planned, tmp_path, workers=1, report=silent)))
    data = tmp_path / "preprocessed" / planned.key / "data.npy"
    os.truncate(data, data.stat().st_size // 2)
    np.testing.assert_array_equal(list(cached(planned, tmp_path, workers=1, report=silent)), before)


def test_bad_data_sets_end_with_6(tmp_path: Path, harness: Harness, tiny: SyntheticSet) -> None:
    damaged(tmp_path / "data")
    found: Finished = harness("--data", tmp_path / "data", "--model-file", tiny.weights)
    assert found.code == 6
    assert found.error["message"].startswith("5 of 6 files")


def test_verify_reads_every_file(tmp_path: Path, harness: Harness, tiny: SyntheticSet) -> None:
    good = harness("--data", tiny.data, verb="verify").result
    assert (good["samples"], good["facts"]["bytes"] > 100_000) == (64, True)
    damaged(tmp_path / "data")
    found = harness("--data", tmp_path / "data", verb="verify")
    assert (found.code, len(found.error["details"])) == (6, 5)
    assert harness("--data", tmp_path / "nowhere").code == 6
