"""KiTS19: what is wrong with a set is named, volumes are upstream's value for value, and Dice is counted by hand."""

import gzip
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import BadSample, DatasetError, SampleError
from mlperf_docker.harness.api.scores import SyntheticKind, SyntheticSet
from mlperf_docker.harness.commands import loading
from mlperf_docker.harness.models.unet3d import accuracy, cases, geometry, nifti, preprocess, synthetic
from mlperf_docker.harness.models.unet3d.benchmark import UNet3D
from mlperf_docker.harness.models.unet3d.dataset import open_kits19
from tests.harness.process import Finished, Harness
from tests.tries import in_time

RNG = np.random.default_rng(8)
SMALL = (30, 40, 50)
NAMES = ("case_00000", "case_00003", "case_00185", "case_00400")


def silent(done: int, total: int, unit: str) -> None:
    pass


def write_case(folder: Path, shape: tuple[int, ...] = SMALL, spacing: tuple[float, float, float] = (3, 2, 2)) -> None:
    folder.mkdir(parents=True)
    volume = RNG.integers(-200, 400, shape).astype(np.int16)
    synthetic.write_volume(folder / "imaging.nii.gz", volume, spacing)
    synthetic.write_volume(folder / "segmentation.nii.gz", RNG.integers(0, 3, shape).astype(np.uint8), spacing)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three cases' folders, and a list of four."""
    for name in NAMES[:3]:
        write_case(tmp_path / "data" / "data" / name)
    (tmp_path / "cache").mkdir()
    (tmp_path / "data" / cases.LIST).write_text(json.dumps(NAMES))
    return tmp_path / "data"


def test_the_official_list_has_43_cases_in_order() -> None:
    assert len(cases.OFFICIAL) == 43
    assert sorted(cases.OFFICIAL) == list(cases.OFFICIAL)
    assert (cases.OFFICIAL[0], cases.OFFICIAL[35], cases.OFFICIAL[-1]) == ("case_00000", "case_00185", "case_00400")


def test_a_case_that_kits19_does_not_have_is_made_from_another(root: Path) -> None:
    dataset = open_kits19(root)
    assert dataset.names == NAMES
    assert [folder.name for folder in dataset.folders] == ["case_00000", "case_00003", "case_00185", "case_00185"]
    shutil.copytree(root / "data/case_00000", root / "data/case_00400")
    assert open_kits19(root).folders[3].name == "case_00400"
    assert open_kits19(root, limit=2).names == NAMES[:2]


def test_cases_may_lie_in_the_folder_itself(root: Path) -> None:
    for folder in (root / "data").iterdir():
        folder.rename(root / folder.name)
    (root / "data").rmdir()
    assert open_kits19(root).count == 4


def refused(root: Path) -> tuple[str, list[str]]:
    with pytest.raises(DatasetError) as raised:
        open_kits19(root)
    return str(raised.value), list(raised.value.details)


def test_without_a_list_the_official_cases_must_be_there(root: Path) -> None:
    (root / cases.LIST).unlink()
    (root / "data/case_185").mkdir()
    message, details = refused(root)
    assert message.startswith("39 of 43 cases are missing")
    assert details[0] == "case_00005: missing"
    assert details[10] == "… and 29 more"
    assert details[11].startswith("case_185 is not called as a case")


def test_a_folder_without_kits19_is_refused(root: Path, tmp_path: Path) -> None:
    assert "no data set folder" in refused(tmp_path / "nowhere")[0]
    assert "is not KiTS19" in refused(tmp_path / "cache")[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is no JSON"),
        ("[]", "is no list of cases"),
        ('["case_1", "case_00003", 7]', "names cases that cannot be"),
        ('["case_00003", "case_00003"]', "names cases that cannot be"),
        ("[" * 100_000, "nested too deep"),
        ("[[[[]]]]", "names cases that cannot be"),
        ('["case_\\ud800"]', "has 1 value that cannot be"),
    ],
)
def test_lists_that_cannot_be(root: Path, text: str, problem: str) -> None:
    (root / cases.LIST).write_text(text)
    assert problem in refused(root)[0]


def replaced_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replaced_by_zeros(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("replace", [replaced_by_a_pipe, replaced_by_zeros])
def test_a_list_that_is_no_regular_file(root: Path, replace: Callable[[Path], None]) -> None:
    replace(root / cases.LIST)
    assert "not a regular file" in refused(root)[0]


def test_a_list_may_begin_with_a_byte_order_mark(root: Path) -> None:
    (root / cases.LIST).write_bytes(b"\xef\xbb\xbf" + json.dumps(NAMES[:2]).encode())
    assert open_kits19(root).names == NAMES[:2]


def units(path: Path, unit: str) -> None:
    image = nibabel.load(path)
    image.header.set_xyzt_units(unit)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header), path)


def reshaped(path: Path, shape: tuple[int, ...]) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros(shape, dtype=np.int16), np.diag([3, 2, 2, 1])), path)


def spaced(path: Path, spacing: float) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros(SMALL, dtype=np.int16), np.diag([spacing, 2, 2, 1])), path)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda f: (f / "segmentation.nii.gz").unlink(), "segmentation.nii.gz: missing"),
        (lambda f: (f / "imaging.nii.gz").unlink(), "imaging.nii.gz: missing"),
        (lambda f: (f / "imaging.nii.gz").write_bytes(b""), "imaging.nii.gz: empty"),
        (lambda f: (f / "imaging.nii.gz").write_bytes(b"no nifti"), "imaging.nii.gz: no NIfTI file (8 bytes)"),
        (lambda f: units(f / "imaging.nii.gz", "meter"), "its spacing is in meter, not in mm"),
        (lambda f: units(f / "imaging.nii.gz", "micron"), "its spacing is in micron, not in mm"),
        (lambda f: reshaped(f / "imaging.nii.gz", (*SMALL, 2)), "4 axes [30, 40, 50, 2] and not three"),
        (lambda f: reshaped(f / "imaging.nii.gz", (30, 40)), "2 axes [30, 40] and not three"),
        (lambda f: reshaped(f / "imaging.nii.gz", (30, 0, 50)), "no voxels: its shape is [30, 0, 50]"),
        (
            lambda f: reshaped(f / "imaging.nii.gz", (30, 40, 51)),
            "imaging.nii.gz is [30, 40, 51], segmentation.nii.gz is",
        ),
        (lambda f: spaced(f / "imaging.nii.gz", 0.003), "a spacing of 0.003 x 2 x 2 cannot be in mm"),
    ],
)
def test_a_bad_case_is_named_before_any_work(root: Path, damage: Callable[[Path], object], problem: str) -> None:
    damage(root / "data/case_00003")
    message, details = refused(root)
    assert message.startswith("1 of 4 cases")
    assert details[0].startswith("case_00003: ")
    assert problem in details[0]


def with_nan(path: Path) -> None:
    volume = np.zeros(SMALL, dtype=np.float32)
    volume[1, 2, 3], volume[0, 0, 0] = np.nan, np.inf
    synthetic.write_volume(path, volume, (3, 2, 2))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flipped(path: Path) -> None:
    """One bit of gzip's checksum: every voxel can be read."""
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)


def labelled(path: Path) -> None:
    labels = np.zeros(SMALL, dtype=np.uint8)
    labels[2, 2, :3] = 3
    synthetic.write_volume(path, labels, (3, 2, 2))


def reading_steps(root: Path, cache: Path) -> tuple[Callable[[], object], ...]:
    """What reads every volume below *root*: checking them, and preprocessing them into *cache*."""
    benchmark = UNet3D()
    dataset = benchmark.open_dataset(root, limit=None)
    return (
        lambda: benchmark.verify(dataset, workers=1, report=silent),
        lambda: benchmark.preprocess(dataset, None, cache, workers=1, report=silent),
    )


@pytest.mark.parametrize(
    ("damage", "file", "problem"),
    [
        (with_nan, "imaging.nii.gz", "2 voxels are not finite numbers"),
        (cut, "imaging.nii.gz", "truncated or damaged"),
        (flipped, "imaging.nii.gz", "truncated or damaged"),
        (flipped, "segmentation.nii.gz", "truncated or damaged"),
        (labelled, "segmentation.nii.gz", "3 voxels are neither 0, 1 nor 2"),
    ],
)
def test_bad_voxels_are_named_by_verify_and_by_preprocessing(
    root: Path, tmp_path: Path, damage: Callable[[Path], None], file: str, problem: str
) -> None:
    damage(root / "data/case_00003" / file)
    for step in reading_steps(root, tmp_path / "cache"):
        with pytest.raises(DatasetError, match="1 of 4 files") as raised:
            step()
        assert raised.value.details[0].startswith(f"case_00003: {file}: ")
        assert problem in raised.value.details[0]


@pytest.mark.arithmetic
def unpacked(path: Path) -> bytearray:
    return bytearray(gzip.decompress(path.read_bytes()))


def edited(place: int, kind: str, *values: float | bytes) -> Callable[[Path], None]:
    """Changes fields of a NIfTI-1 header."""

    def edit(path: Path) -> None:
        data = unpacked(path)
        struct.pack_into(f"<{kind}", data, place, *values)
        path.write_bytes(gzip.compress(data))

    return edit


def typed(kind: Any) -> Callable[[Path], None]:
    return lambda path: nibabel.save(nibabel.Nifti1Image(np.zeros(SMALL, dtype=kind), np.diag([3, 2, 2, 1])), path)


DIM, DATATYPE, BITPIX, PIXDIM, VOX_OFFSET, SLOPE, MAGIC = 40, 70, 72, 76, 108, 112, 344
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (edited(DIM + 2, "3h", 32767, 32767, 32767), "shorter than its header says"),
        (edited(DIM + 2, "3h", 30, 40, -50), "no voxels: its shape is [30, 40, -50]"),
        (edited(DIM, "h", 0), "0 axes [] and not three"),
        (edited(DIM, "4h", 1, 7, 7, 7), "1 axes [7] and not three"),
        (typed(RGB), "its voxels are no numbers"),
        (typed(np.complex64), "its voxels are no numbers, but complex64"),
        (edited(DATATYPE, "h", 1), "its voxels are no numbers"),
        (edited(DATATYPE, "h", 999), "of a type that NIfTI does not have: 999"),
        (edited(BITPIX, "h", 8), "its voxels have 8 bits and are int16, which cannot both be"),
        (edited(PIXDIM + 4, "f", 0), "a spacing of 0 x 2 x 2 cannot be in mm"),
        (edited(PIXDIM + 8, "f", -2), "a spacing of 3 x -2 x 2 cannot be in mm"),
        (edited(PIXDIM + 12, "f", np.nan), "a spacing of 3 x 2 x nan cannot be in mm"),
        (edited(PIXDIM + 12, "f", np.inf), "a spacing of 3 x 2 x inf cannot be in mm"),
        (edited(SLOPE, "2f", np.inf, 0), "its voxels times inf plus 0 are no numbers"),
        (edited(SLOPE, "2f", np.nan, 0), "its voxels times nan plus 0 are no numbers"),
        (edited(SLOPE, "2f", 1, -np.inf), "its voxels times 1 plus -inf are no numbers"),
        (edited(VOX_OFFSET, "f", np.nan), "its voxels cannot begin at byte nan"),
        (edited(VOX_OFFSET, "f", -352), "its voxels cannot begin at byte -352"),
        (edited(VOX_OFFSET, "f", 1e30), "shorter than its header says"),
        (edited(MAGIC, "4s", b"ni1"), "a header without voxels"),
        (edited(MAGIC, "4s", b"abc"), "a header without voxels"),
        (edited(0, "i", 349), "no NIfTI file"),
        (lambda path: path.write_bytes(unpacked(path)), "not compressed, though its name says so: gzip it"),
        (lambda path: path.write_bytes(gzip.compress(unpacked(path)[:300])), "no NIfTI file"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "truncated or damaged (60 bytes)"),
        (replaced_by_a_pipe, "a FIFO, not a regular file"),
        (replaced_by_zeros, "a device, not a regular file"),
    ],
)
def test_headers_that_cannot_be(root: Path, damage: Callable[[Path], None], problem: str) -> None:
    path = root / "data/case_00003/imaging.nii.gz"
    typed(np.int16)(path)
    damage(path)
    message, details = refused(root)
    assert message.startswith("1 of 4 cases")
    assert details[0].startswith("case_00003: imaging.nii.gz: ")
    assert problem in details[0]


@pytest.mark.parametrize(
    ("shape", "spacing", "problem"),
    [
        ((2000, 2000, 200), 2, "voxels, more than the"),
        ((500, 500, 500), 20, "voxels once resampled"),
        ((1, 9, 9), 0.05, "[0"),
    ],
)
def test_volumes_are_of_a_size_that_a_body_has(
    tmp_path: Path, shape: tuple[int, int, int], spacing: float, problem: str
) -> None:
    header = nibabel.Nifti1Image(np.zeros((1, 1, 1), np.uint8), np.diag([spacing] * 3 + [1])).to_bytes()[:352]
    data = bytearray(header)
    struct.pack_into("<3h", data, DIM + 2, *shape)
    with gzip.open(tmp_path / "v.nii.gz", "wb", compresslevel=1) as stream:
        stream.write(data)
        stream.write(bytes(np.prod(shape)) if problem == "[0" else RNG.bytes(1 << 20))
    with pytest.raises(BadSample) as raised:
        nifti.read_header(tmp_path / "v.nii.gz")
    assert problem in str(raised.value)


def shorter(path: Path) -> None:
    path.write_bytes(gzip.compress(unpacked(path)[:-3000]))


@pytest.mark.parametrize(
    ("damage", "file", "problem"),
    [
        (shorter, "imaging.nii.gz", "truncated: 117000 of the 120000 bytes that its voxels have"),
        (shorter, "segmentation.nii.gz", "truncated: 57000 of the 60000 bytes"),
        (edited(SLOPE, "2f", 1e38, 0), "imaging.nii.gz", "voxels are not finite numbers"),
        (edited(SLOPE, "2f", 2, 0), "segmentation.nii.gz", "voxels are neither 0, 1 nor 2"),
        (lambda path: edited(DIM + 2, "3h", 30, 40, 40)(path), "both", "more follows the 96000 bytes"),
    ],
)
def test_voxels_are_as_many_as_the_header_says(
    root: Path, tmp_path: Path, damage: Callable[[Path], None], file: str, problem: str
) -> None:
    for name in ("imaging.nii.gz", "segmentation.nii.gz") if file == "both" else (file,):
        damage(root / "data/case_00003" / name)
    for step in reading_steps(root, tmp_path / "cache"):
        with pytest.raises(DatasetError, match="1 of 4 files") as raised:
            step()
        assert raised.value.details[0].startswith("case_00003: ")
        assert problem in raised.value.details[0]


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("made", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_voxels_of_all_types_are_those_of_nibabel(tmp_path: Path, kind: Any, made: Any) -> None:
    path = tmp_path / "v.nii.gz"
    for order in ("<", ">"):
        raw = RNG.integers(0, 200, (5, 6, 7)).astype(np.dtype(kind).newbyteorder(order))
        header = made.header_class(endianness=order)
        header.set_data_dtype(kind)
        nibabel.save(made(raw, np.diag([2, 3, 4, 1]), header, dtype=kind), path)
        np.testing.assert_array_equal(nifti.read_image(path), nibabel.load(path).get_fdata().astype(np.float32))
        assert nifti.read_header(path) == nifti.NiftiHeader((5, 6, 7), (2.0, 3.0, 4.0))
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    np.testing.assert_array_equal(nifti.read_image(path.with_suffix("")), raw)


def test_scaled_and_wide_values_are_those_of_nibabel(tmp_path: Path) -> None:
    path = tmp_path / "v.nii.gz"
    raw = RNG.integers(0, 4000, (6, 7, 8)).astype(np.int16)
    image = nibabel.Nifti1Image(raw, np.eye(4))
    image.header.set_slope_inter(0.37, -1024)
    nibabel.save(image, path)
    assert nibabel.load(path).dataobj.slope != 1
    np.testing.assert_array_equal(nifti.read_image(path), nibabel.load(path).get_fdata().astype(np.float32))
    nibabel.save(nibabel.Nifti1Image(RNG.standard_normal((6, 7, 8)) * 100, np.eye(4)), path)
    np.testing.assert_array_equal(nifti.read_image(path), nibabel.load(path).get_fdata().astype(np.float32))
    with pytest.raises(BadSample, match="missing"):
        nifti.read_header(tmp_path / "none.nii.gz")


@pytest.mark.parametrize(
    ("length", "edge", "kept", "pad"),
    [
        (128, (0, 0), (0, 128), (0, 0)),
        (127, (0, 1), (0, 128), (0, 0)),
        (100, (14, 14), (0, 128), (0, 0)),
        (159, (0, 0), (15, 143), (0, 0)),
        (160, (0, 0), (0, 160), (16, 16)),
        (191, (0, 0), (0, 191), (0, 1)),
        (223, (0, 0), (15, 207), (0, 0)),
        (225, (0, 0), (0, 225), (15, 16)),
    ],
)
def test_axes_are_fitted(length: int, edge: tuple[int, int], kept: tuple[int, int], pad: tuple[int, int]) -> None:
    axis = geometry.fit(length)
    assert (axis.edge, (axis.start, axis.stop), axis.pad) == (edge, kept, pad)
    assert axis.length % 64 == 0


def plain(volume: NDArray[Any], spacing: tuple[float, float, float], order: int) -> NDArray[Any]:
    """Resampled by hand: on each axis the ends stay, and what lies between is looked up."""
    shape = [round(n * s / w) for n, s, w in zip(volume.shape, spacing, (1.6, 1.2, 1.2), strict=True)]
    found = volume.astype(np.float64)
    for axis, length in enumerate(shape):
        places = np.arange(length) * ((volume.shape[axis] - 1) / (length - 1))
        low = np.floor(places).astype(int).clip(0, volume.shape[axis] - 1)
        high = (low + 1).clip(0, volume.shape[axis] - 1)
        share = (places - low).reshape([-1 if n == axis else 1 for n in range(3)])
        if order == 0:
            low, high, share = (np.floor(places + 0.5).astype(int),) * 2 + (0 * share,)
        found = found.take(low, axis) * (1 - share) + found.take(high, axis) * share
    return found


@pytest.mark.parametrize("spacing", [(3.0, 0.9, 1.1), (1.6, 1.2, 1.2), (0.8, 1.5, 2.0)])
@pytest.mark.arithmetic
def test_volumes_are_resampled_normalised_and_placed(tmp_path: Path, spacing: tuple[float, float, float]) -> None:
    root = tmp_path / "data"
    write_case(root / "data/case_00000", (70, 150, 131), spacing)
    (root / cases.LIST).write_text('["case_00000"]')
    (tmp_path / "cache").mkdir()
    dataset = open_kits19(root)
    samples = preprocess.prepare(dataset, tmp_path / "cache", workers=1, report=silent)
    (volume,), (marks,) = samples.volumes, samples.marks
    raw = nibabel.load(root / "data/case_00000/imaging.nii.gz").get_fdata()
    wanted = (np.clip(plain(raw, spacing, 1), -79, 304) - 101) / 76.9
    labels = plain(nibabel.load(root / "data/case_00000/segmentation.nii.gz").get_fdata(), spacing, 0)
    for found, expected, outside in ((volume, wanted, -2.2), (marks, labels, 0)):
        for axis, length in enumerate(expected.shape):
            front = max(0, 128 - length) // 2
            around = [(front, max(0, 128 - length) - front) if n == axis else (0, 0) for n in range(3)]
            expected = np.pad(expected, around, mode="edge")
            length, excess = expected.shape[axis], expected.shape[axis] % 64
            if excess < 32:
                expected = expected.take(range(excess // 2, length - (excess - excess // 2)), axis)
            else:
                front = (64 - excess) // 2
                around = [(front, 64 - excess - front) if n == axis else (0, 0) for n in range(3)]
                expected = np.pad(expected, around, constant_values=outside)
        assert found.shape == expected.shape == dataset.shapes[0]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_samples_are_numbers_of_volumes(root: Path, tmp_path: Path) -> None:
    samples = preprocess.prepare(open_kits19(root), tmp_path / "cache", workers=1, report=silent)
    (numbers,) = samples.load([3, 0])
    assert numbers.tolist() == [[3], [0]]
    np.testing.assert_array_equal(samples.volumes[2], samples.volumes[3])
    assert UNet3D().payload(open_kits19(root)).width == 128**3


def test_one_process_at_least_and_not_more_than_memory_holds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_kits19(root)
    voxels = 30 * 40 * 50 + 56 * 67 * 83
    for free, workers in ((0, 1), (12 * voxels * 3, 3), (1 << 50, 8)):
        monkeypatch.setattr(preprocess, "free_memory", lambda free=free: free)
        assert preprocess.affordable(dataset, 8) == workers


def test_several_processes_make_the_same_and_a_killed_run_goes_on(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_kits19(root)
    alone = preprocess.prepare(dataset, tmp_path / "cache", workers=1, report=silent)
    monkeypatch.setattr("mlperf_docker.harness.samples.preprocessing.SMALL_SET_BYTES", 0)
    (tmp_path / "other").mkdir()
    together = preprocess.prepare(dataset, tmp_path / "other", workers=2, report=silent)
    for ours, theirs in zip((*alone.volumes, *alone.marks), (*together.volumes, *together.marks), strict=True):
        np.testing.assert_array_equal(ours, theirs)

    class Killed(preprocess.VolumeReader):
        def read(self, index: int, out: NDArray[Any]) -> None:
            if index == 2:
                raise KeyboardInterrupt
            super().read(index, out)

    (tmp_path / "third").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(preprocess, "VolumeReader", Killed)
        with pytest.raises(KeyboardInterrupt):
            preprocess.prepare(dataset, tmp_path / "third", workers=1, report=silent)
    reads: list[int] = []

    class Counting(preprocess.VolumeReader):
        def read(self, index: int, out: NDArray[Any]) -> None:
            reads.append(index)
            super().read(index, out)

    monkeypatch.setattr(preprocess, "VolumeReader", Counting)
    monkeypatch.setattr("mlperf_docker.harness.samples.preprocessing.SMALL_SET_BYTES", 1 << 30)
    resumed = preprocess.prepare(dataset, tmp_path / "third", workers=1, report=silent)
    assert reads == [2, 3]
    for ours, theirs in zip(alone.volumes, resumed.volumes, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def log(path: Path, answers: list[tuple[int, NDArray[np.uint8]]]) -> Path:
    lines = [json.dumps({"seq_id": 0, "qsl_idx": n, "data": labels.tobytes().hex().upper()}) for n, labels in answers]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    return path


def marked(*marks: Any) -> preprocess.Volumes:
    made = preprocess.Volumes.__new__(preprocess.Volumes)
    made.marks = [np.array(each, dtype=np.uint8).reshape(1, 2, 3) for each in marks]
    made.volumes, made.names = (
        [np.zeros((1, 2, 3), np.float32) for _ in marks],
        tuple(f"case_{n:05}" for n in range(len(marks))),
    )
    return made


def test_dice_counted_by_hand(tmp_path: Path) -> None:
    truth = marked([1, 1, 1, 2, 0, 0], [0, 0, 0, 0, 1, 1])
    answers = [(1, np.array([2, 0, 0, 0, 1, 0], np.uint8)), (0, np.array([1, 1, 0, 2, 2, 0], np.uint8))]
    found = accuracy.score(log(tmp_path / "log.json", answers), truth)
    # Case 0: kidney 2 · 2 / (3 + 2), tumour 2 · 1 / (1 + 2). Case 1: kidney 2 · 1 / (2 + 1), tumour next to nothing.
    np.testing.assert_allclose(found.kidney, (0.8, 2 / 3), atol=1e-6)
    np.testing.assert_allclose(found.tumour, (2 / 3, 1e-6), atol=1e-6)
    assert found.mean == pytest.approx((0.8 + 2 / 3 + 2 / 3) / 4, abs=1e-6)
    assert str(found) == "Accuracy: mean = 0.53333, kidney = 0.7333, tumor = 0.3333"


def test_a_class_that_neither_has_is_right(tmp_path: Path) -> None:
    none = np.zeros(6, np.uint8)
    assert accuracy.score(log(tmp_path / "log.json", [(0, none)]), marked(none)).mean == 1.0


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([(0, np.zeros(6, np.uint8))], "lacks 1 of 2 cases"),
        ([(0, np.zeros(5, np.uint8))], "5 labels for case_00000, which has 6"),
        ([(7, np.zeros(6, np.uint8))], "answers sample 7"),
        ([(0, np.full(6, 3, np.uint8))], "the label 3"),
    ],
)
def test_logs_that_do_not_fit(tmp_path: Path, answers: list[tuple[int, NDArray[np.uint8]]], problem: str) -> None:
    with pytest.raises(SampleError, match=problem):
        accuracy.score(log(tmp_path / "log.json", answers), marked([0] * 6, [0] * 6))


def test_a_part_of_the_cases_is_scored_by_itself(tmp_path: Path) -> None:
    """The log of a compliance run has some of them, some twice."""
    truth, none = marked([1, 1, 1, 2, 0, 0], [0] * 6, [1, 1, 2, 2, 2, 2]), np.zeros(6, np.uint8)
    answers = [(2, np.array([1, 1, 2, 2, 0, 0], np.uint8)), (1, none), (2, none)]
    found = accuracy.score(log(tmp_path / "log.json", answers), truth, part=True)
    np.testing.assert_allclose(found.kidney, (1, 1), atol=1e-6)
    np.testing.assert_allclose(found.tumour, (1, 2 * 2 / (2 + 4)), atol=1e-6)
    with pytest.raises(SampleError, match="lacks 3 of 3 cases"):
        accuracy.score(log(tmp_path / "log.json", []), truth, part=True)


def test_an_accuracy_log_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text('[\n{"qsl_idx": 0, "da\n')
    with pytest.raises(SampleError, match="no answer"):
        accuracy.score(tmp_path / "log.json", marked([0] * 6))


@pytest.fixture(scope="module")
def volumes(cache: Path) -> SyntheticSet:
    from mlperf_docker.contract.words import SyntheticSize
    from mlperf_docker.harness.backends.onnxruntime.backend import OnnxRuntime
    from mlperf_docker.harness.models.opening import CpuAnswerer

    return synthetic.synthesize(SyntheticKind(SyntheticSize.TINY), cache, CpuAnswerer(OnnxRuntime(), 2), silent)


def test_3d_unets_dice_meets_the_known_value(harness: Harness, volumes: SyntheticSet, tmp_path: Path) -> None:
    done = harness("--model", "3d-unet", "--synthetic", "tiny", "--mode", "accuracy")
    assert done.code == 0, done
    assert 0.6 < done.result["accuracy"]["value"] < 0.9
    assert done.result["settings"]["parts_per_batch"] == 1
    assert "volumes of 0.04 GB" in done.of("notice")[0]["message"]
    line = (tmp_path / "results/accuracy.txt").read_text()
    assert line.startswith(f"Accuracy: mean = {done.result['accuracy']['value']:.5f}, kidney = 0.")


def test_a_short_look_at_the_first_case(harness: Harness, volumes: SyntheticSet) -> None:
    options = ("--samples", 1, "--batch-size", 2)
    done = harness("--model", "3d-unet", "--synthetic", "tiny", "--mode", "accuracy", *options)
    assert (done.code, done.result["samples"]) == (0, 1)
    assert done.result["settings"]["parts_per_batch"] == 2


def test_marks_of_other_cases_are_noticed(harness: Harness, volumes: SyntheticSet, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(volumes.data, root)
    path = root / "data/case_00000/segmentation.nii.gz"
    marks = np.asarray(nibabel.load(path).dataobj)
    synthetic.write_volume(path, marks[::-1].copy(), geometry.SPACING)
    done = harness("--model", "3d-unet", "--data", root, "--model-file", volumes.weights, "--mode", "accuracy")
    assert done.result["accuracy"]["value"] < volumes.facts["accuracy"]["mean Dice"] - 0.05


def test_single_stream_issues_every_case_equally_often_and_ends(harness: Harness, volumes: SyntheticSet) -> None:
    options = ("--scenario", "SingleStream", "--min-duration", 1)
    line = ("--model", "3d-unet", "--synthetic", "tiny", *options)
    done = in_time(lambda: harness(*line, backend="dummy"), Finished.valid)
    settings = done.result["settings"]
    assert settings["sample_concatenate_permutation"] is True
    assert done.result["samples"] % 3 == 0
    assert done.result["samples"] >= 64
    assert done.code == 0, done.result["reasons"]


def test_more_memory_than_there_is_ends_before_the_model_is_loaded(
    volumes: SyntheticSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlperf_docker.harness.api.errors import UsageError

    splitting = type("Splitting", (), {"memory": staticmethod(lambda samples, instances: (10**12, "much"))})
    model: Any = type("Model", (), {"splitting": splitting})
    said: list[str] = []
    events: Any = type("Events", (), {"notice": staticmethod(said.append)})
    with pytest.raises(UsageError, match=r"1000\.0 GB of memory"):
        loading.check_memory(model, None, 1, events)
    assert said[0].startswith("Memory beside the network's own: much")
