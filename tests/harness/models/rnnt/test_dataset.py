"""LibriSpeech: both layouts give the same samples, what is wrong with a set is named, and words are counted by hand."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api.errors import DatasetError, SampleError
from mlperf_docker.harness.api.names import Joined
from mlperf_docker.harness.architectures.rnnt import BLANK, CHARACTERS
from mlperf_docker.harness.models.rnnt import accuracy, archive, chapters, preprocess, synthetic_speech, vocabulary
from mlperf_docker.harness.models.rnnt.dataset import LibriSpeech, open_librispeech
from mlperf_docker.harness.models.rnnt.utterances import LONGEST, Utterance
from mlperf_docker.harness.samples.preprocessing import read_all

Waveform = NDArray[np.int16]

WAVEFORMS = synthetic_speech.draw(SyntheticSize.TINY, 4, seed=3)
TEXTS = ("he said so", "never asked", "don't", "", "a b c")
FIRST = "dev-clean-wav/2277/149896"


def silent(done: int, total: int, unit: str) -> None:
    pass


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The converted layout: five utterances, the second of which is too long; and an empty cache beside it."""
    synthetic_speech.write(tmp_path / "data", WAVEFORMS, TEXTS)
    (tmp_path / "cache").mkdir()
    return tmp_path / "data"


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive's layout, with two utterances a chapter: of a chapter's number samples, and one sample less."""
    speakers = tmp_path / "raw/LibriSpeech/dev-clean"
    for chapter in chapters.OFFICIAL:
        (speakers / chapter).mkdir(parents=True)
        name = chapter.replace("/", "-")
        lines = [f"{name}-0001 SECOND OF ABC", f"{name}-0000 IT'S THE FIRST"]
        (speakers / chapter / f"{name}.trans.txt").write_text("\n".join(lines) + "\n")
        for number in (0, 1):
            samples = np.full(int(chapter.split("/")[1]) - number, 7, dtype=np.int16)
            soundfile.write(speakers / chapter / f"{name}-000{number}.flac", samples, 16_000)
    monkeypatch.setattr(chapters, "UTTERANCES", 2 * len(chapters.OFFICIAL))
    return tmp_path / "raw"


def refused(root: Path, limit: int | None = None) -> tuple[str, list[str]]:
    with pytest.raises(DatasetError) as raised:
        open_librispeech(root, limit=limit)
    return str(raised.value), list(raised.value.details)


def decoded(dataset: LibriSpeech, cache: Path, workers: int = 1) -> preprocess.Utterances:
    return preprocess.prepare(dataset, cache, workers=workers, report=silent)


def test_the_chapters_are_in_the_order_of_the_shipped_manifest() -> None:
    assert len(set(chapters.OFFICIAL)) == 97
    assert chapters.OFFICIAL[:3] == ("2277/149896", "2277/149897", "2277/149874")
    assert chapters.OFFICIAL[-1] == "3853/163249"
    # Of the folders in dev-clean-wav.json (MD5 f185f584928dd329c1ab254c617a0e21), as they follow each other.
    digest = hashlib.md5("\n".join(chapters.OFFICIAL).encode()).hexdigest()  # noqa: S324 (not for security)
    assert digest == "6c5d225fd861d7f87e4021a406fd088d"


def test_the_manifest_numbers_the_samples(root: Path) -> None:
    dataset = open_librispeech(root)
    assert [u.transcript for u in dataset.utterances] == ["he said so", "don't", "", "a b c"]
    assert [u.num_samples for u in dataset.utterances] == [len(WAVEFORMS[n]) for n in (0, 2, 3, 4)]
    assert dataset.utterances[1].name == "2277-149896-0002"
    assert [u.name for u in open_librispeech(root, limit=2).utterances] == ["2277-149896-0000", "2277-149896-0002"]
    entries = json.loads((root / "dev-clean-wav.json").read_text())
    (root / "dev-clean-wav.json").write_text(json.dumps(entries[::-1]))
    assert [u.name for u in open_librispeech(root).utterances][::3] == ["2277-149896-0004", "2277-149896-0000"]


def test_only_what_is_longer_than_15_s_is_left_out(tmp_path: Path) -> None:
    lengths = (LONGEST, LONGEST + 1, LONGEST - 1)
    synthetic_speech.write(tmp_path, [np.zeros(length, np.int16) for length in lengths], ["a", "b", "c"])
    assert [u.transcript for u in open_librispeech(tmp_path).utterances] == ["a", "c"]


def test_transcripts_are_written_as_the_network_writes() -> None:
    assert vocabulary.clean("  He SAID:\t'no', naïve\n") == "he said 'no' nave"
    assert vocabulary.text([8, 5, 0, 27, 26]) == "he 'z"
    assert BLANK == 28


def test_sound_may_be_wav_or_flac_whatever_the_manifest_calls_it(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    synthetic_speech.write(other, WAVEFORMS, TEXTS, suffix=".wav")
    expected = decoded(open_librispeech(other), tmp_path / "cache")
    path = root / "dev-clean-wav.json"
    path.write_text(path.read_text().replace(".flac", ".wav"))
    found = decoded(open_librispeech(root), tmp_path / "cache")
    for number, place in enumerate((0, 2, 3, 4)):
        np.testing.assert_array_equal(expected.waveform(number), WAVEFORMS[place])
        np.testing.assert_array_equal(found.waveform(number), WAVEFORMS[place])


def test_the_archive_is_ordered_as_the_manifest(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LONGEST", 149_896)
    dataset = open_librispeech(unpacked)
    expected = []
    for chapter in chapters.OFFICIAL:
        number, name = int(chapter.split("/")[1]), chapter.replace("/", "-")
        said = ((f"{name}-0000", "it's the first", number), (f"{name}-0001", "second of abc", number - 1))
        expected += [each for each in said if each[2] <= 149_896]
    assert 100 < len(expected) < 194
    assert [(u.name, u.transcript, u.num_samples) for u in dataset.utterances] == expected
    for place in (unpacked / "LibriSpeech", unpacked / "LibriSpeech/dev-clean"):
        assert open_librispeech(place, limit=3).utterances[2].name == "2277-149897-0001"


def test_everything_wrong_with_the_archive_is_named_at_once(unpacked: Path) -> None:
    speakers = unpacked / "LibriSpeech/dev-clean"
    shutil.rmtree(speakers / "2277/149897")
    first = speakers / "2277/149896"
    (first / "2277-149896-0000.flac").unlink()
    (first / "2277-149896-0001.flac").write_bytes(b"no sound")
    (first / "2277-149896-0002.flac").touch()
    other = speakers / "2035/147960/2035-147960.trans.txt"
    other.write_text(other.read_text() + "2035-147961-0000 OF ANOTHER CHAPTER\n")
    (speakers / "2035/152373/2035-152373.trans.txt").write_bytes(b"\xff")
    soundfile.write(speakers / "2035/147961/2035-147961-0000.flac", np.zeros((800, 2), np.int16), 8000)
    message, details = refused(unpacked)
    assert message.endswith("has 7 utterances, texts or chapters that are missing or cannot be right")
    assert details[0] == "2277-149896-0002.flac: 2277-149896.trans.txt has no text for it"
    assert details[1] == "2277-149896-0000.flac: missing"
    assert details[2].startswith("2277-149896-0001.flac: damaged or no sound file (8 bytes): ")
    assert details[3] == "2277-149897.trans.txt: missing"
    assert details[4].startswith("2035-147960.trans.txt, line 3: not the name")
    assert details[5].startswith("2035-152373.trans.txt: not UTF-8")
    assert details[6] == "2035-147961-0000.flac: 8000 Hz, not 16000, 2 channels, not one"


def test_an_archive_that_lacks_an_utterance_and_its_text_is_noticed(unpacked: Path) -> None:
    place = unpacked / "LibriSpeech/dev-clean/3853/163249"
    (place / "3853-163249-0001.flac").unlink()
    (place / "3853-163249.trans.txt").write_text("3853-163249-0000 IT'S THE FIRST\n")
    assert refused(unpacked)[1] == ["193 utterances in all chapters together, where dev-clean has 194"]
    for chapter in ("3853/163249", "2277/149897"):
        shutil.rmtree(unpacked / "LibriSpeech/dev-clean" / chapter)
    assert open_librispeech(unpacked, limit=2).count == 2


def test_a_folder_without_librispeech_is_refused(root: Path, tmp_path: Path) -> None:
    assert "no data set folder" in refused(tmp_path / "nowhere")[0]
    assert "is not LibriSpeech's dev-clean" in refused(tmp_path / "cache")[0]
    (root / "dev-clean-wav.json").unlink()
    assert f"{root} lacks dev-clean-wav.json" in refused(root)[0]
    assert "lacks dev-clean-wav.json" in refused(root / "dev-clean-wav")[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", "is no JSON"), ("\xff", "is no JSON"), ("[]", "is no list of utterances"), ("{}", "is no list")],
)
def test_manifests_that_cannot_be(root: Path, text: str, problem: str) -> None:
    (root / "dev-clean-wav.json").write_text(text, encoding="latin-1")
    assert problem in refused(root)[0]


def test_everything_wrong_with_entries_and_their_files_is_named_at_once(root: Path) -> None:
    path = root / "dev-clean-wav.json"
    entries: list[Any] = json.loads(path.read_text())
    (root / FIRST / "2277-149896-0004.flac").unlink()
    seconds = entries[0]["original_duration"]
    entries[0]["original_duration"] += 1
    del entries[2]["transcript"]
    entries[3]["files"][0]["speed"] = 1.1
    entries += ["so", {**entries[4], "original_duration": "2"}]
    path.write_text(json.dumps(entries))
    message, details = refused(root)
    assert "has 6 utterances" in message
    both = f"{seconds + 1} s and {len(WAVEFORMS[0])} samples of 16000 Hz"
    assert details == [
        f"entry 0 of dev-clean-wav.json: {FIRST}/2277-149896-0000.flac cannot have both {both}",
        'entry 2 of dev-clean-wav.json: it has no "transcript"',
        "entry 3 of dev-clean-wav.json: none of its files is at speed 1",
        "entry 5 of dev-clean-wav.json: no object with files, original_duration and transcript",
        'entry 6 of dev-clean-wav.json: its "original_duration" is "2"',
        "2277-149896-0004.flac: missing",
    ]


def test_a_set_of_long_utterances_has_no_samples(tmp_path: Path) -> None:
    synthetic_speech.write(tmp_path, WAVEFORMS[1:2], ["too long"])
    assert "no utterance of up to 15 s" in refused(tmp_path)[0]


def written(**options: Any) -> Callable[[Path, Waveform], None]:
    """Writes the sound in another way. The suffix stays: the contents tell what a file is."""
    kind = {"samplerate": 16_000, "subtype": "PCM_16", "format": "WAV", **options}
    return lambda path, waveform: soundfile.write(path, waveform, **kind)


def cut(path: Path, _: Waveform) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flipped(path: Path, _: Waveform) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (written(samplerate=8000), "8000 Hz, not 16000"),
        (lambda path, x: written()(path, np.stack((x, x), axis=1)), "2 channels, not one"),
        (lambda path, x: written(subtype="FLOAT")(path, x / np.float32(32768)), "32 bit float, not 16-bit PCM"),
        (written(subtype="PCM_24", format="FLAC"), "Signed 24 bit PCM, not 16-bit PCM"),
        (lambda path, x: written(samplerate=44_100, subtype="FLOAT")(path, x), "44100 Hz, not 16000, 32 bit float"),
        (lambda path, x: written()(path, x[:0]), "0 samples, fewer than the 481"),
        (lambda path, x: written()(path, x[:480]), "480 samples, fewer than the 481"),
        (lambda path, x: written()(path, x[:-1]), f"{len(WAVEFORMS[2]) - 1} samples, not the {len(WAVEFORMS[2])} of"),
        (lambda path, x: path.write_bytes(b""), "empty"),
        (lambda path, x: path.write_bytes(b"<html>"), "damaged or no sound file (6 bytes)"),
        (lambda path, x: path.unlink(), "missing"),
        (cut, "damaged or no sound file"),
        (flipped, "damaged or no sound file"),
    ],
)
def test_bad_sound_is_named_by_verify_and_by_preprocessing(
    root: Path, tmp_path: Path, damage: Callable[[Path, Waveform], object], problem: str
) -> None:
    dataset = open_librispeech(root)
    damage(root / FIRST / "2277-149896-0002.flac", WAVEFORMS[2])
    for step in (
        lambda: read_all(preprocess.waveform_job(dataset), workers=1, report=silent),
        lambda: decoded(dataset, tmp_path / "cache"),
    ):
        with pytest.raises(DatasetError, match="1 of 4 files") as raised:
            step()
        assert raised.value.details[0].startswith("2277-149896-0002: ")
        assert problem in raised.value.details[0]


def test_a_wav_file_that_ends_early_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    synthetic_speech.write(tmp_path / "data", WAVEFORMS, TEXTS, suffix=".wav")
    path = tmp_path / "data" / FIRST / "2277-149896-0003.wav"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError) as raised:
        decoded(open_librispeech(tmp_path / "data"), tmp_path / "cache")
    count = len(WAVEFORMS[3])
    assert raised.value.details == (f"2277-149896-0003: {count - 50} samples, not the {count} of the manifest",)


def test_samples_are_numbers_of_waveforms_that_are_kept_apart(root: Path, tmp_path: Path) -> None:
    samples = decoded(open_librispeech(root), tmp_path / "cache")
    assert (samples.count, samples.joined) == (4, Joined.INDICES)
    assert samples.lengths is not None
    assert samples.lengths.tolist() == [len(WAVEFORMS[n]) for n in (0, 2, 3, 4)]
    assert samples.bytes == 2 * samples.lengths.sum()
    (numbers,) = samples.load([3, 0, 3])
    assert numbers.tolist() == [[3], [0], [3]]
    assert numbers.dtype == np.int64
    assert samples.waveform(1).dtype == np.int16
    assert not samples.waveform(1).flags.owndata


def test_several_processes_make_the_same_and_a_second_run_reads_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_librispeech(root)
    alone = decoded(dataset, tmp_path / "cache")
    monkeypatch.setattr("mlperf_docker.harness.samples.preprocessing.SMALL_SET_BYTES", 0)
    monkeypatch.setattr("mlperf_docker.harness.samples.preprocessing.CHUNK", 1)
    (tmp_path / "other").mkdir()
    together = decoded(dataset, tmp_path / "other", workers=2)
    for number in range(4):
        np.testing.assert_array_equal(alone.waveform(number), together.waveform(number))
    shutil.move(root, tmp_path / "moved")
    monkeypatch.setattr(preprocess.WaveformReader, "read", None)
    assert decoded(open_librispeech(tmp_path / "moved"), tmp_path / "cache").bytes == alone.bytes


def test_a_synthetic_set_is_spread_like_the_official_one() -> None:
    full = synthetic_speech.lengths(SyntheticSize.FULL, 200) / 16_000
    assert full.min() < 2
    assert 14 < full.max() < 15
    assert full.mean() == pytest.approx(6.25, abs=0.2)
    assert len(WAVEFORMS) == 5
    assert len(WAVEFORMS[synthetic_speech.TOO_LONG]) > LONGEST
    tiny = [len(waveform) / 16_000 for waveform in WAVEFORMS if len(waveform) < LONGEST]
    assert all(0.3 <= seconds <= 2.1 for seconds in tiny)
    assert (len(WAVEFORMS[0]) % 160, len(WAVEFORMS[0]) % 480) == (0, 160)
    again = synthetic_speech.draw(SyntheticSize.TINY, 4, seed=3)
    assert all(np.array_equal(one, other) for one, other in zip(WAVEFORMS, again, strict=True))


def log(path: Path, answers: list[tuple[Any, str | bytes]]) -> Path:
    lines = []
    for number, answer in answers:
        labels = [CHARACTERS.index(character) for character in answer] if isinstance(answer, str) else None
        data = answer if isinstance(answer, bytes) else np.array(labels, dtype=np.int64).tobytes()
        lines.append(json.dumps({"seq_id": 0, "qsl_idx": number, "data": data.hex().upper()}))
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    return path


def said(*transcripts: str) -> LibriSpeech:
    utterances = (Utterance(Path(f"1-2-{n:04}.flac"), text, 1000) for n, text in enumerate(transcripts))
    return LibriSpeech(tuple(utterances), (0,) * len(transcripts), "")


@pytest.mark.parametrize(
    ("answer", "reference", "errors"),
    [
        ("", "", 0),
        ("", "a b", 2),
        ("a b", "", 2),
        ("a b c", "a b c", 0),
        ("b c d a", "a b c d", 2),
        ("he was a fevered estate of", "he was in a fevered state", 3),
        ("x a x b x", "a b", 3),
        ("s u n d a y", "s a t u r d a y", 3),
    ],
)
def test_words_that_differ_counted_by_hand(answer: str, reference: str, errors: int) -> None:
    assert accuracy.distance(answer.split(), reference.split()) == errors
    assert accuracy.distance(reference.split(), answer.split()) == errors


def test_the_line_is_that_of_upstreams_script(tmp_path: Path) -> None:
    dataset = said("he was in a fevered state", "don't", "a b c d")
    answers: list[tuple[Any, str | bytes]] = [
        (2, "b c  d a "),
        (0, "he was a fevered estate of"),
        (1, ""),
        (1, "don't"),
    ]
    found = accuracy.score(log(tmp_path / "log.json", answers), dataset)
    assert (found.errors, found.words) == (6, 11)
    # What accuracy_eval.py prints for this log (without its last line).
    assert str(found) == "Word Error Rate: 54.54545454545454%, accuracy=45.45454545454546%"
    assert found.accuracy == 45.45454545454546
    assert str(accuracy.WordErrors(3305, 44_349)) == "Word Error Rate: 7.452253714852645%, accuracy=92.54774628514735%"


def test_a_part_of_the_utterances_is_scored_by_itself(tmp_path: Path) -> None:
    """The log of a compliance run has some of them, some twice."""
    path = log(tmp_path / "log.json", [(2, "a b c d"), (1, "do"), (2, "a")])
    found = accuracy.score(path, said("he was in a fevered state", "don't", "a b c d"), part=True)
    assert (found.errors, found.words) == (1, 5)
    with pytest.raises(SampleError, match="missing or cannot be"):
        accuracy.score(log(tmp_path / "log.json", []), said("a"), part=True)


def test_everything_wrong_with_a_log_is_named_at_once(tmp_path: Path) -> None:
    number = np.array([28], dtype=np.int64).tobytes()
    answers: list[tuple[Any, str | bytes]] = [(0, b"abc"), (1, number), (7, "a"), (-1, "a"), (2, "fine"), ("x", "a")]
    path = log(tmp_path / "log.json", answers)
    path.write_text(path.read_text().replace("\n]", ',\n{"qsl_idx": 3, "data": "0G"}\n]'))
    with pytest.raises(SampleError) as raised:
        accuracy.score(path, said("a", "b", "c", "d"))
    assert "has 7 answers that are missing or cannot be" in str(raised.value)
    first, second, third, fourth, fifth, sixth, seventh = raised.value.details
    assert first == "sample 0: 3 bytes, not 8 for each label"
    assert second == "sample 1: the label 28; there are 0 to 27"
    assert third == "sample 7: the data set has 4"
    assert fourth == "sample -1: the data set has 4"
    assert fifth.startswith("no answer: {'seq_id': 0, 'qsl_idx': 'x'")
    assert sixth.startswith("no answer: {'qsl_idx': 3, 'data': '0G'}")
    assert seventh == "1-2-0003: not answered"


@pytest.mark.parametrize(("text", "problem"), [('[\n{"qsl_idx": 0, "da\n', "is no JSON"), ("{}", "is no list")])
def test_an_accuracy_log_that_cannot_be_of_transcripts_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "log.json").write_text(text)
    with pytest.raises(SampleError, match=problem):
        accuracy.score(tmp_path / "log.json", said("a"))


def test_transcripts_without_words_have_no_rate(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no words"):
        accuracy.score(log(tmp_path / "log.json", [(0, "a")]), said(""))


def test_the_manifest_wins_where_both_layouts_are_there(root: Path) -> None:
    path = root / "LibriSpeech/dev-clean" / archive.text(chapters.OFFICIAL[0])
    path.parent.mkdir(parents=True)
    path.touch()
    assert archive.folder(root) is not None
    assert open_librispeech(root).count == 4
