"""Length of sound files: found where the header does not tell, and refused where it is wrong."""

import io
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import BadSample, DatasetError
from mlperf_docker.harness.models.rnnt import chapters, flac, preprocess, sound
from mlperf_docker.harness.models.rnnt.dataset import open_librispeech
from mlperf_docker.harness.models.rnnt.synthetic_speech import write
from tests.harness.models.rnnt.test_dataset import refused, silent

RNG = np.random.default_rng(4)
LENGTH = 20_000
SOUND = (RNG.standard_normal(LENGTH) * 3000).clip(-32768, 32767).astype(np.int16)


def encoded(waveform: NDArray[np.int16], kind: str = "FLAC") -> bytes:
    space = io.BytesIO()
    soundfile.write(space, waveform, 16_000, format=kind, subtype="PCM_16")
    return space.getvalue()


def without_sum(data: bytes) -> bytes:
    """A FLAC stream without the checksum of the sound, as what encodes to a pipe leaves it."""
    return data[:26] + bytes(16) + data[42:]


def sized(data: bytes, size: int) -> bytes:
    """A WAV file whose header tells *size* bytes of sound."""
    place = data.index(b"data") + 4
    return data[:place] + struct.pack("<I", size) + data[place + 4 :]


def decoded(path: Path, length: int) -> NDArray[np.int16]:
    out = np.zeros(length, np.int16)
    sound.read(path, out)
    return out


@pytest.mark.parametrize("length", [481, 4095, 4096, 4097, 8192, LENGTH])
@pytest.mark.parametrize("loudness", [0, 0.01, 1])
def test_the_last_frame_tells_the_length(tmp_path: Path, length: int, loudness: float) -> None:
    waveform = (SOUND[:length] * loudness).astype(np.int16)
    whole = encoded(waveform)
    about = flac.header(whole)
    assert about is not None
    assert about.told == flac.ending(whole, about) == length
    (tmp_path / "a.flac").write_bytes(without_sum(flac.telling(whole, 0)))
    assert sound.length(tmp_path / "a.flac") == length
    np.testing.assert_array_equal(decoded(tmp_path / "a.flac", length), waveform)


@pytest.mark.parametrize("told", [1, 8000, 4096, LENGTH - 1, LENGTH + 1, 10**6, 2**36 - 1])
def test_a_header_that_tells_another_length_is_named(tmp_path: Path, told: int) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(flac.telling(encoded(SOUND), told))
    with pytest.raises(BadSample, match=f"its header tells {told} samples, and it has {LENGTH}"):
        sound.length(path)
    with pytest.raises(BadSample, match="its header tells"):
        decoded(path, LENGTH)


@pytest.mark.parametrize("cut", [1, 2, 30, 5000])
def test_a_stream_of_unknown_length_that_is_cut_off_is_named(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(flac.telling(encoded(SOUND), 0)[:-cut])
    with pytest.raises(BadSample, match="truncated or damaged"):
        sound.length(path)


def test_sound_that_is_not_that_of_the_checksum_is_named(tmp_path: Path) -> None:
    other = encoded(SOUND[::-1])
    path = tmp_path / "a.flac"
    path.write_bytes(other[:26] + encoded(SOUND)[26:42] + other[42:])
    with pytest.raises(BadSample, match="not that of its checksum"):
        decoded(path, LENGTH)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_file_of_unknown_length_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(sized(encoded(SOUND, "WAV"), size))
    assert sound.length(path) == LENGTH
    np.testing.assert_array_equal(decoded(path, LENGTH), SOUND)


def test_a_wav_file_that_tells_more_than_it_has_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(sized(encoded(SOUND, "WAV"), 2 * LENGTH + 2000))
    with pytest.raises(BadSample, match=f"its header tells {LENGTH + 1000} samples, and it has {LENGTH}"):
        sound.length(path)
    path.write_bytes(sized(encoded(SOUND, "WAV"), LENGTH))
    with pytest.raises(BadSample, match=f"{LENGTH // 2} samples, not the {LENGTH} of the manifest"):
        decoded(path, LENGTH)


@pytest.mark.parametrize("kind", ["AIFF", "AU", "CAF", "W64"])
def test_other_formats_are_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.flac").write_bytes(encoded(SOUND, kind))
    with pytest.raises(BadSample, match="neither WAV nor FLAC"):
        sound.length(tmp_path / "a.flac")


def test_bytes_before_a_flac_stream_are_no_sound(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + flac.telling(encoded(SOUND), 0))
    with pytest.raises(BadSample):
        sound.length(tmp_path / "a.flac")


@pytest.mark.parametrize(
    "data", [b"fLaC", b"fLaC\0\0\0\x22" + b"\xff" * 300_000, b"RIFF\0\0\0\0WAVEdata", b"RIFF" * 99]
)
def test_headers_alone_are_no_sound(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(BadSample):
        sound.length(tmp_path / "a.flac")


def chapter(root: Path, files: dict[int, bytes]) -> Path:
    """The first chapter as the archive unpacks."""
    folder = root / "LibriSpeech/dev-clean" / chapters.OFFICIAL[0]
    folder.mkdir(parents=True)
    stem = chapters.OFFICIAL[0].replace("/", "-")
    for number, data in files.items():
        (folder / f"{stem}-{number:04}.flac").write_bytes(data)
    (folder / f"{stem}.trans.txt").write_text("".join(f"{stem}-{number:04} WORD\n" for number in files))
    return root


def test_an_utterance_of_unknown_length_keeps_its_number(tmp_path: Path) -> None:
    files = {number: encoded(SOUND[: 16_000 + number]) for number in range(4)}
    files[1] = flac.telling(files[1], 0)
    files[2] = without_sum(flac.telling(encoded(np.tile(SOUND, 13)), 0))
    dataset = open_librispeech(chapter(tmp_path / "set", files), limit=3)
    assert [(each.name[-4:], each.num_samples) for each in dataset.utterances] == [
        ("0000", 16_000),
        ("0001", 16_001),
        ("0003", 16_003),
    ]
    (tmp_path / "cache").mkdir()
    samples = preprocess.prepare(dataset, tmp_path / "cache", workers=1, report=silent)
    np.testing.assert_array_equal(samples.waveform(1), SOUND[:16_001])


def test_no_utterance_is_left_out_for_a_false_length(tmp_path: Path) -> None:
    files = {number: encoded(SOUND) for number in range(3)}
    files[0] = flac.telling(files[0], 16 * 16_000)
    message, details = refused(chapter(tmp_path, files), limit=2)
    assert "1 utterances" in message
    assert details == [f"2277-149896-0000.flac: its header tells 256000 samples, and it has {LENGTH}"]


def test_the_whole_set_has_as_many_samples_as_the_benchmark(tmp_path: Path) -> None:
    write(tmp_path, [SOUND[:500]], ["a"])
    path = tmp_path / "dev-clean-wav.json"
    (entry,) = json.loads(path.read_text())
    entries = [json.loads(json.dumps(entry)) for _ in range(2703)]
    for number, each in enumerate(entries):
        each["files"][0]["fname"] = f"dev-clean-wav/{number}.flac"
        (tmp_path / f"dev-clean-wav/{number}.flac").hardlink_to(tmp_path / f"{entry['files'][0]['fname']}")
    path.write_text(json.dumps(entries))
    expected = "2703 of the 2703 utterances have up to 15 s, where dev-clean has 2513 such"
    assert refused(tmp_path)[1] == [expected]
    assert refused(tmp_path, limit=3)[1] == [expected]
    for each in entries[2513:]:
        each |= {"original_duration": 20.0}
        each["files"][0]["num_samples"] = 20 * 16_000
    path.write_text(json.dumps(entries))
    assert open_librispeech(tmp_path).count == 2513


Change = Callable[[dict[str, object]], object]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("/etc/passwd", "entry 0 of dev-clean-wav.json: '/etc/passwd' leads out of the folder"),
        ("../../../etc/passwd", "entry 0 of dev-clean-wav.json: '../../../etc/passwd' leads out of the folder"),
        ("a\0.flac", r"entry 0 of dev-clean-wav.json: 'a\x00.flac' has a character that no file's name has"),
        ("a" * 300, "entry 0 of dev-clean-wav.json: 'aaa"),
        ("dev-clean-wav/../dev-clean-wav/x.flac", "leads out of the folder"),
        ("\ud800.flac", "entry 0.files[0].fname: half a character"),
        ("dev-clean-wav", "dev-clean-wav: a folder, not a regular file"),
    ],
)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str, problem: str) -> None:
    write(tmp_path, [SOUND, SOUND], ["a", "b"])
    path = tmp_path / "dev-clean-wav.json"
    entries = json.loads(path.read_text())
    entries[0]["files"][0]["fname"] = name
    path.write_text(json.dumps(entries))
    _, (detail,) = refused(tmp_path)
    assert problem in detail


@pytest.mark.parametrize(
    ("duration", "samples", "problem"),
    [
        (float("nan"), LENGTH, "entry 0.original_duration: no finite number"),
        (float("inf"), LENGTH, "entry 0.original_duration: no finite number"),
        (10**30, LENGTH, "entry 0.original_duration: no finite number"),
        (-1.0, -16_000, "-16000 samples, fewer than the 481 that features need"),
        (0, 0, "0 samples, fewer than the 481"),
        ([1], LENGTH, 'its "original_duration" is [1]'),
    ],
)
def test_lengths_that_cannot_be(tmp_path: Path, duration: object, samples: int, problem: str) -> None:
    write(tmp_path, [SOUND], ["a"])
    path = tmp_path / "dev-clean-wav.json"
    entries = json.loads(path.read_text())
    entries[0] |= {"original_duration": duration}
    entries[0]["files"][0]["num_samples"] = samples
    path.write_text(json.dumps(entries))
    _, (detail,) = refused(tmp_path)
    assert problem in detail
    assert "entry 0" in detail


def test_an_utterance_that_is_listed_twice_is_named(tmp_path: Path) -> None:
    write(tmp_path, [SOUND, SOUND], ["a", "b"])
    path = tmp_path / "dev-clean-wav.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([*entries, entries[1]]))
    assert refused(tmp_path)[1] == ["dev-clean-wav.json has 2277-149896-0001.flac twice"]


def test_the_texts_of_a_chapter_name_its_own_utterances_once(tmp_path: Path) -> None:
    root = chapter(tmp_path, {number: encoded(SOUND) for number in range(2)})
    text = next(root.rglob("*.trans.txt"))
    lines = text.read_text()
    text.write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert open_librispeech(root, limit=2).count == 2
    text.write_text(f"{lines}2277-149896-0001 AGAIN\n2277-149896-../0001 WORD\n")
    assert refused(root, limit=2)[1] == [
        "2277-149896.trans.txt, line 3: 2277-149896-0001 is there already",
        "2277-149896.trans.txt, line 4: not the name of an utterance and its text",
    ]


def test_links_out_of_the_folder_are_followed_and_pipes_are_not_opened(tmp_path: Path) -> None:
    write(tmp_path / "set", [SOUND, SOUND], ["a", "b"])
    files = sorted((tmp_path / "set").rglob("*.flac"))
    files[0].rename(tmp_path / "elsewhere.flac")
    files[0].symlink_to(tmp_path / "elsewhere.flac")
    assert open_librispeech(tmp_path / "set").count == 2
    files[1].unlink()
    os.mkfifo(files[1])
    assert refused(tmp_path / "set")[1] == ["2277-149896-0001.flac: a FIFO, not a regular file"]
    (tmp_path / "set/dev-clean-wav.json").unlink()
    os.mkfifo(tmp_path / "set/dev-clean-wav.json")
    with pytest.raises(DatasetError, match="a FIFO, not a regular file"):
        open_librispeech(tmp_path / "set")
