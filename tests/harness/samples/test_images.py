"""Image files as they come: damaged ones are named and none is used; what OpenCV reads wholly is a sample."""

import io
import json
import os
import resource
import socket
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mlperf_docker.harness.api.errors import BadSample, DatasetError
from mlperf_docker.harness.models.resnet50.dataset import open_imagenet
from mlperf_docker.harness.models.retinanet.dataset import ANNOTATIONS, open_openimages
from mlperf_docker.harness.samples import jpeg_blocks
from mlperf_docker.harness.samples.images import ImageDecoder
from tests.harness.process import PATIENCE_S, command, environment

Options = dict[str, Any]
FORMS: dict[str, Options] = {
    "baseline": {"quality": 90},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "full colour": {"subsampling": 0},
    "grey": {},
    "four colours": {},
}
MODES = {"grey": "L", "four colours": "CMYK"}


def scene(height: int = 240, width: int = 320, mode: str = "RGB") -> Image.Image:
    """Soft shapes with grain, as a photograph has."""
    rng = np.random.default_rng(4)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    soft = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    grainy = (soft + rng.integers(-8, 9, soft.shape)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(grainy).convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def in_form(form: str) -> bytes:
    return encoded(scene(mode=MODES.get(form, "RGB")), **FORMS[form])


def found_by(folder: Path, data: bytes) -> tuple[str | None, str | None]:
    """What decoding and a glance say of a file."""
    (folder / "x").write_bytes(data)
    decoder = ImageDecoder(folder)
    decoder.prepare()
    try:
        decoder.decode("x")
    except BadSample as problem:
        return str(problem), decoder.glance("x")
    return None, decoder.glance("x")


FILLS: dict[str, Callable[[int], bytes]] = {
    "zeros": bytes,
    "ones": lambda count: b"\xff" * count,
    "text": lambda count: (b"<html>502 Bad Gateway</html>" * count)[:count],
    "noise": lambda count: np.random.default_rng(count).integers(0, 256, count, dtype=np.uint8).tobytes(),
    "nothing": lambda count: b"",
}


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("form", FORMS)
def test_a_hole_in_the_picture_data_is_found(tmp_path: Path, form: str, fill: str) -> None:
    data = in_form(form)
    first, last = len(data) * 4 // 10, len(data) * 7 // 10
    for problem in found_by(tmp_path, data[:first] + FILLS[fill](last - first) + data[last:]):
        assert problem is not None
        assert problem.startswith(("picture data are missing or damaged: ", "not an image"))


@pytest.mark.parametrize("form", FORMS)
def test_bytes_too_many_are_no_error(tmp_path: Path, form: str) -> None:
    data = in_form(form)
    assert jpeg_blocks.damage(data) is None
    for more in (b"\0", bytes(12), bytes(3000), b"made by a camera", b"\x1a" * 18):
        assert found_by(tmp_path, data[:-2] + more + data[-2:]) == (None, None)
        assert found_by(tmp_path, data + more) == (None, None)


def test_a_plain_colour_has_no_hole(tmp_path: Path) -> None:
    plain = Image.new("RGB", (800, 600), (255, 255, 255))
    for form in ("optimised", "progressive", "baseline"):
        data = encoded(plain, **FORMS[form])
        assert found_by(tmp_path, data) == (None, None)
        assert found_by(tmp_path, data[:-2] + bytes(9) + data[-2:]) == (None, None)


def test_output_of_others_during_decoding_is_passed_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    png = encoded(scene(), "PNG")
    assert found_by(tmp_path, png[:5000] + bytes(9) + png[5009:])[0] == "not an image"
    data = in_form("baseline")
    found_by(tmp_path, data[:-2] + bytes(9) + data[-2:])
    said = capfd.readouterr().err
    assert "libpng" in said
    assert "extraneous" not in said
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "later\n"


def turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image, exif=exif)


KINDS: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: encoded(scene(), "PNG"),
    "PNG of 16 bits": lambda: encoded(Image.fromarray(np.full((30, 40), 40_000, dtype=np.uint16)), "PNG"),
    "PNG with transparency": lambda: encoded(scene(mode="RGBA"), "PNG"),
    "GIF": lambda: encoded(scene(mode="P"), "GIF"),
    "BMP": lambda: encoded(scene(), "BMP"),
    "WebP": lambda: encoded(scene(), "WEBP"),
    "turned": lambda: turned(scene()),
    **{form: (lambda form=form: in_form(form)) for form in FORMS},  # type: ignore[misc]
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_opencv_reads_is_what_it_reads(tmp_path: Path, kind: str) -> None:
    import cv2

    (tmp_path / "a.JPEG").write_bytes(KINDS[kind]())
    decoder = ImageDecoder(tmp_path)
    decoder.prepare()
    upstreams: Any = cv2.imread(str(tmp_path / "a.JPEG"))
    np.testing.assert_array_equal(decoder.decode("a.JPEG"), cv2.cvtColor(upstreams, cv2.COLOR_BGR2RGB))
    assert decoder.glance("a.JPEG") is None


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "WebP"])
def test_other_formats_are_not_cut_off(tmp_path: Path, kind: str) -> None:
    data = KINDS[kind]()
    problem = f"truncated after {len(data) // 2} bytes" if kind == "PNG" else "not an image"
    assert found_by(tmp_path, data[: len(data) // 2]) == (problem, problem)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def vast(kind: str, side: int) -> bytes:
    """A small file whose header says that the picture is *side* pixels high and wide."""
    if kind == "PNG":
        header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        rest = png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + header + rest
    data, size = bytearray(encoded(scene(), kind, progressive=True)), struct.pack(">HH", side, side)
    if kind == "JPEG":
        frame = data.find(b"\xff\xc2") + 5
        data[frame : frame + 4] = size
    else:
        data[6:10] = struct.pack("<HH", side, side)
    return bytes(data)


def test_headers_that_cannot_be_are_survived(tmp_path: Path) -> None:
    chance = np.random.default_rng(9)
    decoder = ImageDecoder(tmp_path)
    decoder.prepare()
    for round_ in range(400):
        data = bytearray(encoded(scene(48, 64), progressive=round_ % 2 == 1))
        start = data.find(b"\xff\xda")
        for at in chance.integers(2, start + 20, 3).tolist():
            data[at] = int(chance.choice([0, 1, 0x7F, 0xC0, 0xC2, 0xC4, 0xDD, 0xFF]))
        jpeg_blocks.damage(bytes(data))
        (tmp_path / "x").write_bytes(data)
        decoder.glance("x")


def test_scans_are_bounded_before_they_are_decoded(tmp_path: Path) -> None:
    data = vast("JPEG", 7900)
    more = data[data.rfind(b"\xff\xda") : -2]
    problem = "1006 scans of 7900 x 7900 pixels"
    assert found_by(tmp_path, data[:-2] + more * 996 + data[-2:]) == (problem, problem)


def imagenet(root: Path, files: dict[str, bytes]) -> Path:
    root.mkdir()
    for name, data in files.items():
        (root / name).write_bytes(data)
    (root / "val_map.txt").write_text("".join(f"{name} {number}\n" for number, name in enumerate(files)))
    return root


def openimages(root: Path, files: dict[str, bytes]) -> Path:
    (root / "annotations").mkdir(parents=True)
    for name, data in files.items():
        (root / name).write_bytes(data)
    images = [{"id": n, "file_name": name, "height": 240, "width": 320} for n, name in enumerate(files)]
    categories = [{"id": number} for number in range(264)]
    (root / ANNOTATIONS).write_text(json.dumps({"images": images, "annotations": [], "categories": categories}))
    return root


LAYOUTS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {"resnet50": imagenet, "retinanet": openimages}


def harness(verb: str, model: str, backend: str, data: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the last event of a command that may take no more than 1.5 GB and 1 GB of it by itself."""
    line = command(verb, "--model", model, "--backend", backend, "--data", data, *more)
    limit = 3 << 29
    done = subprocess.run(
        line,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**environment(), "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("model", "backend"), [("resnet50", "onnxruntime"), ("resnet50", "pytorch"), ("retinanet", "onnxruntime")]
)
def test_bad_pictures_end_with_6_and_are_named(tmp_path: Path, model: str, backend: str) -> None:
    data = in_form("baseline")
    files = {
        "good.JPEG": data,
        "hole.JPEG": data[:4000] + bytes(5000) + data[9000:],
        "many.JPEG": data[:-2] + bytes(9) + data[-2:],
        "vast.JPEG": vast("JPEG", 30_000),
        "vaster.JPEG": vast("JPEG", 60_000),
        "png.JPEG": vast("PNG", 60_000),
        "gif.JPEG": vast("GIF", 30_000),
        "chunk.JPEG": KINDS["PNG"]()[:33] + b"\xff\xff\xff\xf0" + KINDS["PNG"]()[37:],
        "large.JPEG": vast("JPEG", 7900),
    }
    root = LAYOUTS[model](tmp_path / "data", files)
    (tmp_path / "cache").mkdir()
    for verb, more in (("verify", ()), ("preprocess", ("--cache", str(tmp_path / "cache")))):
        code, error = harness(verb, model, backend, root, *more)
        assert (code, error["message"]) == (6, "7 of 9 files cannot be read"), error
        problems = dict(detail.split(": ", 1) for detail in error["details"])
        assert problems.pop("hole.JPEG").startswith("picture data are missing")
        assert problems.pop("large.JPEG").startswith("picture data are missing")
        assert problems.pop("chunk.JPEG").startswith("truncated after")
        assert problems["vast.JPEG"] == "30000 x 30000 pixels; up to 64 million are read"
        assert problems["vaster.JPEG"] == "60000 x 60000 pixels; up to 64 million are read"
        assert problems["png.JPEG"] == problems["gif.JPEG"] == "more than 64 million pixels"


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "a FIFO, not a regular file"),
    "socket": (listening, "a socket, not a regular file"),
    "folder": (Path.mkdir, "a folder, not a regular file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device, not a regular file"),
    "loop": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
    "dangling": (lambda path: path.symlink_to("/nowhere/at all"), "a link to /nowhere/at all, which is not there"),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("model", LAYOUTS)
def test_an_image_that_is_no_regular_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    make, problem = ODD[kind]
    root = LAYOUTS[model](Path("data"), {"a.JPEG": in_form("grey"), "b.JPEG": b""})
    (root / "b.JPEG").unlink()
    make(root / "b.JPEG")
    with pytest.raises(DatasetError, match="1 of 2 images") as raised:
        (open_imagenet if model == "resnet50" else open_openimages)(root)
    assert raised.value.details == (f"b.JPEG: {problem}",)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
@pytest.mark.parametrize("model", LAYOUTS)
def test_a_list_that_is_no_file_is_named(tmp_path: Path, model: str, kind: str) -> None:
    make, problem = ODD[kind]
    root = LAYOUTS[model](tmp_path / "data", {"a.JPEG": in_form("grey")})
    path = root / ("val_map.txt" if model == "resnet50" else ANNOTATIONS)
    path.unlink()
    make(path)
    with pytest.raises(DatasetError, match=f"{path.name} is {problem}"):
        (open_imagenet if model == "resnet50" else open_openimages)(root)


def test_files_behind_links_are_read(tmp_path: Path) -> None:
    """As data sets are kept that were made of others; names in data files may not lead out by themselves."""
    (tmp_path / "elsewhere").write_bytes(in_form("grey"))
    root = imagenet(tmp_path / "data", {"a.JPEG": b""})
    (root / "a.JPEG").unlink()
    (root / "a.JPEG").symlink_to(tmp_path / "elsewhere")
    (root / "val_map.txt").rename(tmp_path / "map")
    (root / "val_map.txt").symlink_to(tmp_path / "map")
    dataset = open_imagenet(root)
    decoder = ImageDecoder(dataset.root)
    decoder.prepare()
    image: NDArray[np.uint8] = decoder.decode("a.JPEG")
    assert image.shape == (240, 320, 3)
