"""Downloads against a server that misbehaves: the right file in the end or one clear error, and nothing else left."""

import errno
import hashlib
import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import Interrupted
from mlperf_docker.inputs import checksums
from mlperf_docker.inputs.checksums import Checksum
from mlperf_docker.inputs.download import address
from mlperf_docker.inputs.download.one import fetch
from mlperf_docker.inputs.download.wanted import DownloadError, Fetched, FetchError, Wanted
from mlperf_docker.system.ca_bundles import CA_VARIABLES
from tests.fakes.web_server import Behaviour, Server, serving

RANDOM = random.Random(7)  # noqa: S311  # for bytes and moments, not for secrets
CONTENT = RANDOM.randbytes(300_000)
NAME = "model.onnx"


class Quiet:
    """A display that remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.done: list[int] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def phase(self, name: str) -> None:
        self.said.append(name)

    def progress(self, done: int, total: int | None, unit: str) -> None:
        assert unit == "bytes"
        self.done.append(done)

    def part(self, name: str, done: int, total: int | None) -> None:
        pass

    def part_over(self, name: str) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(CONTENT) as running:
        yield running


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(address, "BACKOFF_S", 0.001)
    monkeypatch.setattr(address, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(address, "READ_TIMEOUT_S", 0.5)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def md5(content: bytes) -> Checksum:
    return Checksum("md5", hashlib.md5(content, usedforsecurity=False).hexdigest())


RIGHT = md5(CONTENT)


def wanted(folder: Path, *urls: str, checksum: Checksum | None = RIGHT) -> Wanted:
    return Wanted(NAME, folder / NAME, urls, checksum)


def got(folder: Path, *urls: str, checksum: Checksum | None = RIGHT, display: Quiet | None = None) -> Fetched:
    """Fetch, and look that the right file is there and nothing else."""
    fetched = fetch(wanted(folder, *urls, checksum=checksum), display or Quiet())
    assert (folder / NAME).read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == [NAME]
    return fetched


def leave_partial(folder: Path, content: bytes) -> None:
    (folder / f"{NAME}.partial").write_bytes(content)


def test_a_file_is_fetched_once(server: Server, folder: Path) -> None:
    url = server.address("model")
    display = Quiet()
    fetched = got(folder, url, display=display)
    assert (fetched.url, fetched.size_bytes, fetched.resumed_bytes) == (url, len(CONTENT), 0)
    assert display.done[-1] == len(CONTENT)
    assert got(folder, url).url is None
    assert len(server.seen) == 1
    assert checksums.remembered(folder / NAME) == {"md5": md5(CONTENT).value}


@pytest.mark.parametrize("length", [True, False])
def test_a_broken_connection_is_resumed_where_the_length_tells(server: Server, folder: Path, length: bool) -> None:
    """Without a length nobody can tell a break from the end, so it is the checksum that does, and the next address."""
    broken = Behaviour(stop_after=100_000, no_length=not length)
    url = server.address("model", broken, Behaviour())
    got(folder, url, server.address("mirror"))
    ranges = [each.range for each in server.seen]
    if length:
        assert [each.path for each in server.seen] == ["/model", "/model"]
        assert ranges[0] is None
        assert 0 < int(str(ranges[1]).removeprefix("bytes=").rstrip("-")) <= 100_000
        assert server.seen[1].if_range == server.etag
    else:
        assert [each.path for each in server.seen] == ["/model", "/mirror"]
        assert ranges == [None, None]


def test_a_partial_file_of_an_earlier_time_is_resumed(server: Server, folder: Path) -> None:
    leave_partial(folder, CONTENT[:123_456])
    assert got(folder, server.address("model")).resumed_bytes == 123_456
    assert [each.range for each in server.seen] == ["bytes=123456-"]


def test_a_whole_partial_file_needs_no_network(folder: Path) -> None:
    leave_partial(folder, CONTENT)
    assert got(folder, "http://127.0.0.1:9/model").url is None


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(ignore_range=True),
        Behaviour(content_range="bytes 0-299999/300000"),
        Behaviour(content_range="bytes 1000-200000/300000"),
        Behaviour(content_range="bytes 1000-299999/300001"),
        Behaviour(content_range="bytes 1000-1200/300000"),
        Behaviour(content_range="all of it"),
        Behaviour(shift=10),
    ],
    ids=["ignored", "wrong start", "wrong end", "wrong total", "cut", "no range", "honest header, wrong bytes"],
)
def test_a_server_that_lies_about_ranges_is_asked_for_all_of_it(
    server: Server, folder: Path, behaviour: Behaviour
) -> None:
    leave_partial(folder, CONTENT[:1000])
    assert got(folder, server.address("model", behaviour)).resumed_bytes == 0
    assert server.seen[0].range == "bytes=1000-"
    assert len(server.seen) == (1 if behaviour.ignore_range else 2)
    assert all(each.range is None for each in server.seen[1:])


def test_a_partial_file_of_wrong_bytes_is_started_afresh_once(server: Server, folder: Path) -> None:
    leave_partial(folder, b"x" * 5000)
    display = Quiet()
    assert got(folder, server.address("model"), display=display).resumed_bytes == 0
    assert [each.range for each in server.seen] == ["bytes=5000-", None]
    assert any("starting afresh" in line for line in display.said)


@pytest.mark.parametrize("surplus", [0, 1000])
def test_a_partial_file_as_long_as_the_file_or_longer(server: Server, folder: Path, surplus: int) -> None:
    leave_partial(folder, b"y" * (len(CONTENT) + surplus))
    got(folder, server.address("model"))
    assert [each.range for each in server.seen] == [f"bytes={len(CONTENT) + surplus}-", None]


def test_a_file_that_changed_on_the_server_is_not_mixed(server: Server, folder: Path) -> None:
    """No checksum: only the validator tells that the beginning here is of another version."""
    url = server.address("model", Behaviour(stop_after=90_000), Behaviour(status=404))
    with pytest.raises(FetchError):
        fetch(wanted(folder, url, checksum=None), Quiet())
    assert (folder / f"{NAME}.partial").stat().st_size > 0
    server.etag = '"two"'
    old, server.content = server.content, CONTENT[::-1]
    fetch(wanted(folder, server.address("model"), checksum=None), Quiet())
    assert server.seen[-1].if_range == '"one"'
    assert (folder / NAME).read_bytes() == CONTENT[::-1] != old
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_without_a_checksum_another_address_does_not_continue(server: Server, folder: Path) -> None:
    first = server.address("first", Behaviour(stop_after=90_000), Behaviour(status=404))
    got(folder, first, server.address("second"), checksum=None)
    assert [each.range for each in server.seen if each.path == "/second"] == [None]


def test_redirects_are_followed_with_the_range(server: Server, folder: Path) -> None:
    leave_partial(folder, CONTENT[:1000])
    url = server.address("record", Behaviour(location=f"{server.address('model')}?download=1"))
    assert got(folder, url).resumed_bytes == 1000
    assert [(each.path, each.range) for each in server.seen] == [
        ("/record", "bytes=1000-"),
        ("/model?download=1", "bytes=1000-"),
    ]


def test_redirects_in_a_circle_end(server: Server, folder: Path) -> None:
    with pytest.raises(FetchError, match="redirects"):
        fetch(wanted(folder, server.address("a", Behaviour(location=f"{server.url}/a"))), Quiet())
    assert not list(folder.iterdir())


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_status_is_tried_again(server: Server, folder: Path, status: int) -> None:
    busy = Behaviour(status=status, headers=(("Retry-After", "1"),))
    got(folder, server.address("model", busy, busy, Behaviour()))
    assert len(server.seen) == 3


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_settled_status_is_not(server: Server, folder: Path, status: int) -> None:
    mirror = server.address("mirror")
    assert got(folder, server.address("model", Behaviour(status=status)), mirror).url == mirror
    assert [each.path for each in server.seen] == ["/model", "/mirror"]


def test_an_address_that_stays_unavailable_is_given_up(server: Server, folder: Path) -> None:
    with pytest.raises(FetchError, match=rf"503 Service Unavailable \(tried {address.TRIES} times\)"):
        fetch(wanted(folder, server.address("model", Behaviour(status=503))), Quiet())
    assert len(server.seen) == address.TRIES
    assert not list(folder.iterdir())


def test_a_connection_that_always_breaks_without_headway_ends(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ignores ranges and breaks at the same place never gets further, however often it is asked."""
    monkeypatch.setattr(address, "_HEADWAY_BYTES", 20_000)
    url = server.address("model", Behaviour(stop_after=70_000, ignore_range=True))
    with pytest.raises(FetchError, match="broke"):
        fetch(wanted(folder, url), Quiet())
    assert len(server.seen) <= address.TRIES + 1
    assert (folder / f"{NAME}.partial").exists()


def test_a_connection_that_breaks_often_but_progresses_is_followed_to_the_end(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address, "_HEADWAY_BYTES", 20_000)
    monkeypatch.setattr(address, "_CHUNK_BYTES", 4096)
    got(folder, server.address("model", Behaviour(stop_after=30_000)))
    assert len(server.seen) > address.TRIES


def test_a_stalled_server_is_given_up_and_a_slow_one_is_not(server: Server, folder: Path) -> None:
    mirror = server.address("mirror", Behaviour(seconds_a_piece=0.01))
    assert got(folder, server.address("model", Behaviour(seconds_a_piece=3)), mirror).url == mirror


def test_wrong_bytes_go_on_to_the_next_address(server: Server, folder: Path) -> None:
    wrong = server.address("wrong", Behaviour(content=b"not the file"))
    mirror = server.address("mirror")
    assert got(folder, wrong, mirror).url == mirror
    assert server.seen[-1].range is None


def test_when_all_fail_each_address_is_named_and_nothing_wrong_is_kept(server: Server, folder: Path) -> None:
    urls = (
        server.address("gone", Behaviour(status=404)),
        server.address("form", Behaviour(content=b"<html>", headers=(("Content-Type", "text/html; charset=utf-8"),))),
        server.address("zipped", Behaviour(headers=(("Content-Encoding", "gzip"),))),
        "http://127.0.0.1:9/dead",
        server.address("wrong", Behaviour(content=b"not the file")),
    )
    with pytest.raises(FetchError) as caught:
        fetch(wanted(folder, *urls), Quiet())
    lines = str(caught.value).splitlines()
    assert caught.value.exit_code is ExitCode.MODEL_FILE
    assert "any of its 5 addresses" in lines[0]
    assert [line.split(": ", 1)[0].strip() for line in lines[1:]] == list(urls)
    for line, words in zip(
        lines[1:], ("404 Not Found", "web page", "gzip", "Connection refused", "is expected"), strict=True
    ):
        assert words in line
    assert md5(b"not the file").value in lines[-1]
    assert md5(CONTENT).value in lines[-1]
    assert str(folder / NAME) in (caught.value.hint or "")
    assert not list(folder.iterdir())


def test_a_wrong_file_in_its_place_stays_until_the_right_one_is_here(server: Server, folder: Path) -> None:
    (folder / NAME).write_bytes(b"the user's own")
    with pytest.raises(FetchError):
        fetch(wanted(folder, server.address("model", Behaviour(status=404))), Quiet())
    assert (folder / NAME).read_bytes() == b"the user's own"
    display = Quiet()
    got(folder, server.address("model"), display=display)
    assert any("replaced once the right file is here" in line for line in display.said)


def test_a_name_that_does_not_exist(folder: Path) -> None:
    with pytest.raises(FetchError, match="cannot be reached"):
        fetch(wanted(folder, "http://no-such-host.invalid/model"), Quiet())
    assert not list(folder.iterdir())


def test_a_disk_too_small_is_told_before_the_download(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 1000})())
    with pytest.raises(DownloadError, match=r"300 kB more are needed, and 1 kB are free"):
        fetch(wanted(folder, server.address("model")), Quiet())
    assert not list(folder.iterdir())


def test_a_disk_that_fills_up_keeps_what_came(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = os.write, 0

    def filling(descriptor: int, data: bytes) -> int:
        nonlocal written
        if written > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written += len(data)
        return write(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", filling)
        with pytest.raises(DownloadError, match="No space left on device") as caught:
            fetch(wanted(folder, server.address("model")), Quiet())
    assert "--to DIR" in (caught.value.hint or "")
    assert not (folder / NAME).exists()
    assert got(folder, server.address("model")).resumed_bytes > 100_000


def test_a_folder_where_nothing_can_be_written() -> None:
    with pytest.raises(DownloadError, match=r"cannot be written to /proc/sys") as caught:
        fetch(Wanted(NAME, Path("/proc/sys") / NAME, ("http://127.0.0.1:9/m",), md5(CONTENT)), Quiet())
    assert caught.value.exit_code is ExitCode.MODEL_FILE


def test_two_at_once_fetch_once(server: Server, folder: Path) -> None:
    url = server.address("model", Behaviour(seconds_a_piece=0.02))
    second_display = Quiet()
    outcomes: list[Fetched] = []
    first = threading.Thread(target=lambda: outcomes.append(fetch(wanted(folder, url), Quiet())))
    first.start()
    while not (folder / f"{NAME}.partial").exists() or not server.seen:
        time.sleep(0.005)
    outcomes.append(got(folder, url, display=second_display))
    first.join()
    assert len(server.seen) == 1
    assert sorted(each.url is None for each in outcomes) == [False, True]
    assert any("waiting for it" in line for line in second_display.said)


def test_the_users_own_address_is_told_without_its_secrets(server: Server, folder: Path) -> None:
    url = server.address("model", Behaviour(status=403)).replace("//", "//me:hunter2@") + "?token=abc"
    with pytest.raises(FetchError) as caught:
        fetch(Wanted(NAME, folder / NAME, (url,), md5(CONTENT), private=True), Quiet())
    assert "hunter2" not in str(caught.value)
    assert "token" not in str(caught.value)
    assert "/model: 403" in str(caught.value)


def test_a_proxy_of_the_environment_is_used(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.behaviours["http://mirror.invalid/model"] = [Behaviour()]
    monkeypatch.setenv("http_proxy", server.url)
    got(folder, "http://mirror.invalid/model")
    assert [each.path for each in server.seen] == ["http://mirror.invalid/model"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_certificates_are_verified_and_the_users_own_bundle_counts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, name = tmp_path / "own.pem", ("-subj", "/CN=own", "-addext", "subjectAltName=IP:127.0.0.1")
    make = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name)
    subprocess.run([*make, "-keyout", str(both), "-out", str(tmp_path / "ca.pem")], check=True, capture_output=True)
    with both.open("a") as file:
        file.write((tmp_path / "ca.pem").read_text())
    for variable in CA_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    with serving(CONTENT, both) as secure:
        url = secure.address("model")
        with pytest.raises(FetchError, match="its certificate is not trusted"):
            fetch(wanted(folder, url), Quiet())
        assert not secure.seen
        for variable in CA_VARIABLES:
            with monkeypatch.context() as patch:
                patch.setenv(variable, str(tmp_path / "ca.pem"))
                got(folder, url)
            (folder / NAME).unlink()


def test_interrupted_at_any_moment_and_taken_up_again(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process, at 30 chosen moments; `test_models` does the same to whole processes."""
    monkeypatch.setattr(address, "_CHUNK_BYTES", 4096)
    url = server.address("model")
    for moment in RANDOM.sample(range(1, 70), 30):

        class Stop(Quiet):
            left = moment

            def progress(self, done: int, total: int | None, unit: str) -> None:
                self.left -= 1
                if self.left == 0:
                    raise KeyboardInterrupt

        (folder / NAME).unlink(missing_ok=True)
        with pytest.raises(Interrupted, match="are kept") as stopped:
            fetch(wanted(folder, url), Stop())
        assert stopped.value.exit_code is ExitCode.INTERRUPTED
        assert {path.name for path in folder.iterdir()} == {f"{NAME}.partial", f"{NAME}.partial.json"}
        assert got(folder, url).resumed_bytes > 0
