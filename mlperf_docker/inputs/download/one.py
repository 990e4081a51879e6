"""Download one file: resumable, from several addresses in turn, and never under its name before it is the right one.

What has come so far is `<name>.partial`, always a beginning of the file; `<name>.partial.json` beside it says which
answer it came from. The partial file is locked while somebody works on it.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ConnectTimeout, ProxyError, RequestException, SSLError, Timeout
from urllib3.exceptions import HTTPError, ProtocolError

from mlperf_docker import __version__
from mlperf_docker.display.progress import Display
from mlperf_docker.display.sizes import readable
from mlperf_docker.errors import ExitCode, Interrupted, MlperfDockerError
from mlperf_docker.inputs import checksums
from mlperf_docker.inputs.checksums import Checksum
from mlperf_docker.system import exclusive, network_errors, small_file

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
BACKOFF_S = 0.5  # doubles with every failure in a row
LONGEST_WAIT_S = 30.0
TRIES = 5
TRIES_TO_CONNECT = 3  # where nobody answers at all, another address is worth more than patience
_LOCK_POLL_S = 0.2
_CHUNK_BYTES = 64 * 2**10
_HEADWAY_BYTES = 2**20  # a try that brought this much counts as a new beginning
_NAME_WIDTH = 32
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_PASSING_STATUS = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_BUNDLES = ("SSL_CERT_FILE", "PIP_CERT")  # beside REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE, which requests reads itself


@dataclass(frozen=True)
class Wanted:
    """A file to fetch. urls: in the order of trying; checksum: None where nobody published one.

    private: the addresses are the user's own, so what may be a secret in them is not printed. exit_code: of a failure;
    folder_option: how the command that fetches it takes another folder.
    """

    name: str
    target: Path
    urls: tuple[str, ...]
    checksum: Checksum | None
    private: bool = False
    exit_code: ExitCode = ExitCode.MODEL_FILE
    folder_option: str = "--to DIR"

    @property
    def partial(self) -> Path:
        """Where the bytes gather."""
        return self.target.with_name(f"{self.target.name}.partial")


@dataclass(frozen=True)
class Fetched:
    """A file in its place. url: where it came from, None where it was here already; resumed_bytes: were here before."""

    path: Path
    size_bytes: int
    url: str | None
    resumed_bytes: int = 0


class DownloadError(MlperfDockerError):
    """A file could not be brought to its place; the exit code says what it is needed for."""

    def __init__(self, message: str, *, hint: str, exit_code: ExitCode) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class FetchError(DownloadError):
    """No address gave the file; what each of them did is in the message."""


class _Fault(Exception):  # noqa: N818  # caught in this module, and told in a FetchError
    """Why an address did not give the file."""


class _Settled(_Fault):
    """Trying this address again would not help."""


class _Passing(_Fault):
    """It may help to try again. tries: how often in a row; wait_s: what the server asked for."""

    def __init__(self, message: str, *, tries: int = 0, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.tries = tries or TRIES
        self.wait_s = wait_s


class _NotAsAsked(_Fault):
    """The server cannot be trusted with ranges: what it sent is not what was asked for."""


def fetch(wanted: Wanted, display: Display, session: requests.Session | None = None) -> Fetched:
    """Return the file in its place, fetched if it is not there yet. session: the connections to use, for many files.

    Raises FetchError where no address gave it, DownloadError where it cannot be written, Interrupted on Ctrl-C; the
    bytes of an unfinished download stay for the next time, wrong ones never do.
    """
    connections = new_session() if session is None else contextlib.nullcontext(session)
    try:
        with connections as live, _claimed(wanted, display) as partial:
            return _fetch(wanted, partial, display, live)
    except KeyboardInterrupt as error:
        kept = _size(wanted.partial)
        rest = f" {readable(kept)} are kept; the same command goes on from there." if kept else ""
        raise Interrupted(f"Interrupted while fetching {wanted.name}.{rest}") from error
    except OSError as error:
        raise _cannot_write(wanted, error) from error


def _fetch(wanted: Wanted, partial: "_Partial", display: Display, session: requests.Session) -> Fetched:
    if is_there(wanted, display):
        return Fetched(wanted.target, wanted.target.stat().st_size, None)
    partial.read(display)
    resumed = partial.size
    if resumed and partial.is_right():  # it was complete, and the tool was killed before it said so
        return _put_in_place(wanted, partial, Fetched(wanted.target, partial.size, None, resumed))
    said: list[str] = []
    for url in wanted.urls:
        try:
            _Address(session, url, partial, display).get(wanted)
        except _Settled as fault:
            said.append(f"{_shown(url, wanted)}: {fault}")
            continue
        resumed = min(resumed, partial.resumed)
        return _put_in_place(wanted, partial, Fetched(wanted.target, partial.size, _shown(url, wanted), resumed))
    raise _nobody_gave_it(wanted, said)


def is_there(wanted: Wanted, display: Display) -> bool:
    """Tell whether the file lies in its place already; a wrong one there stays until the right one replaces it."""
    if not wanted.target.is_file():
        return False
    if wanted.checksum is None:
        display.say(f"{wanted.target} is there already; nobody published a checksum to verify it with.")
        return True
    algorithm = wanted.checksum.algorithm
    found = checksums.remembered(wanted.target).get(algorithm)
    if found is None:
        display.phase(f"verify {wanted.name}")
        report = lambda done, total: display.progress(done, total, "bytes")  # noqa: E731
        found = checksums.of(wanted.target, (algorithm,), report)[algorithm]
    if found == wanted.checksum.value:
        return True
    display.say(f"{wanted.target} has {algorithm} {found}, which is wrong: it is replaced once the right file is here.")
    return False


def _put_in_place(wanted: Wanted, partial: "_Partial", fetched: Fetched) -> Fetched:
    partial.finish(wanted.target)
    if wanted.checksum is not None:
        checksums.remember(wanted.target, {wanted.checksum.algorithm: wanted.checksum.value})
    return fetched


class _Partial:
    """The beginning of the file that has come so far, with its running checksum; the lock is its holder's.

    resumed: how many of its bytes came with an earlier answer than the last one.
    """

    def __init__(self, descriptor: int, wanted: Wanted) -> None:
        self._descriptor = descriptor
        self._path = wanted.partial
        self._note = wanted.partial.with_name(f"{wanted.partial.name}.json")
        self.folder = wanted.partial.parent
        self._checksum = wanted.checksum
        self._hash = wanted.checksum.new() if wanted.checksum else None
        self.size = 0
        self.resumed = 0

    def read(self, display: Display) -> None:
        """Take up what an earlier time left."""
        size = os.fstat(self._descriptor).st_size
        if size:
            display.phase(f"take up the {readable(size)} that are here")
        while chunk := os.read(self._descriptor, _CHUNK_BYTES):
            self._count(chunk)
            display.progress(self.size, size, "bytes")

    def append(self, chunk: bytes) -> None:
        """Add *chunk*, unbuffered: what was counted is there even if the process is killed."""
        view = memoryview(chunk)
        while view:
            written = os.write(self._descriptor, view)
            self._count(view[:written])
            view = view[written:]

    def restart(self) -> None:
        """Forget everything."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._note.unlink(missing_ok=True)
        self._hash = self._checksum.new() if self._checksum else None
        self.size = 0

    def is_right(self) -> bool:
        """Tell whether this is the whole file, as far as a checksum was published."""
        return self._checksum is not None and self.digest() == self._checksum.value

    def digest(self) -> str:
        """Return the checksum of what is here, or "" where none was published."""
        return str(self._hash.hexdigest()) if self._hash else ""

    def note(self, origin: dict[str, Any]) -> None:
        """Write down which answer the bytes come from. Torn by a kill, it reads as nothing, and that is safe."""
        self._note.write_text(json.dumps(origin), encoding="utf-8")

    def origin(self) -> dict[str, Any]:
        """Return what was noted, or nothing."""
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
            return dict(json.loads(small_file.read(self._note)))
        return {}

    def finish(self, target: Path) -> None:
        """Give the file its name. The note goes first: without the file it would mean another one."""
        os.fsync(self._descriptor)
        self._note.unlink(missing_ok=True)
        self._path.replace(target)

    def leave(self) -> None:
        """Leave nothing empty behind, and no note of nothing."""
        with contextlib.suppress(OSError):
            if os.fstat(self._descriptor).st_ino == self._path.stat().st_ino and not _size(self._path):
                self._path.unlink()
        if not self._path.exists():
            self._note.unlink(missing_ok=True)

    def _count(self, chunk: bytes | memoryview) -> None:
        self.size += len(chunk)
        if self._hash:
            self._hash.update(chunk)


class _Address:
    """One address and everything that may go wrong with it."""

    def __init__(self, session: requests.Session, url: str, partial: _Partial, display: Display) -> None:
        self._session, self._url, self._partial, self._display = session, url, partial, display
        self._key = hashlib.sha256(url.encode()).hexdigest()  # in the note: an address may hold a secret
        self._ranges = True
        self._fresh = False

    def get(self, wanted: Wanted) -> None:
        """Bring the partial file to its end, verified. Raises _Settled where this address does not give it."""
        self._display.phase(f"fetch {_shortened(wanted.name)} from {urlsplit(self._url).hostname}")
        failures, furthest = 0, self._partial.size
        while True:
            try:
                self._attempt(wanted)
            except _NotAsAsked as fault:
                if not self._ranges:
                    raise _Settled(f"it {fault}") from fault
                self._ranges = False
                self._partial.restart()
                self._display.say(f"The server {fault}; starting afresh.")
            except _Passing as fault:
                failures = 1 if self._partial.size - furthest >= _HEADWAY_BYTES else failures + 1
                furthest = max(furthest, self._partial.size)
                self._wait(fault, failures)
            else:
                if self._verified(wanted.checksum):
                    return

    def _wait(self, fault: _Passing, failures: int) -> None:
        if failures >= fault.tries:
            raise _Settled(f"{fault} (tried {failures} times)")
        wait = min(fault.wait_s or BACKOFF_S * 2 ** (failures - 1), LONGEST_WAIT_S)
        self._display.say(f"{fault}; trying again in {wait:g} s.")
        time.sleep(wait)

    def _verified(self, checksum: Checksum | None) -> bool:
        """Tell whether the file is right; False to start afresh, once, where some of it was of an earlier answer."""
        if checksum is None or self._partial.is_right():
            return True
        found, resumed = self._partial.digest(), self._partial.resumed
        self._partial.restart()
        if resumed and not self._fresh:
            self._fresh = True
            self._display.say(f"The resumed file has {checksum.algorithm} {found}, which is wrong; starting afresh.")
            return False
        raise _Settled(f"{checksum.algorithm} is {found}, and {checksum.value} is expected")

    def _attempt(self, wanted: Wanted) -> None:
        """Ask once, for what is missing, and take what comes. Raises _Fault."""
        headers = self._headers()
        try:
            answer = self._session.get(
                self._url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
            )
        except (RequestException, OSError, ValueError) as error:
            raise _translated(error) from error
        with answer:
            total = self._total(answer, asked_range="Range" in headers)
            self._note(answer, total)
            self._require_space(wanted, total)
            self._receive(answer, total)

    def _headers(self) -> dict[str, str]:
        """Return the headers of the next request. A partial file that cannot be continued is forgotten first."""
        headers = {"Accept-Encoding": "identity"}
        origin = self._partial.origin() if self._partial.size else {}
        validator = origin.get("validator") if origin.get("address") == self._key else None
        # Of a file with a checksum any address may give the rest; without one, only the same version of the same file.
        resumable = self._ranges and (self._partial.digest() != "" or validator is not None)
        if self._partial.size and not resumable:
            self._partial.restart()
        if self._partial.size:
            headers["Range"] = f"bytes={self._partial.size}-"
            if isinstance(validator, str):
                headers["If-Range"] = validator
        return headers

    def _total(self, answer: requests.Response, *, asked_range: bool) -> int | None:
        """Return the whole file's size, if the answer tells, with the partial file ready for the answer's body."""
        if answer.status_code == HTTPStatus.PARTIAL_CONTENT and asked_range:
            total = self._range_total(answer)
            self._partial.resumed = self._partial.size
            return total
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and asked_range:
            raise _NotAsAsked("has no more bytes than are here, and these are not the file")
        if answer.status_code != HTTPStatus.OK:
            raise _refused(answer)
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if kind == "text/html":
            raise _Settled("it answers with a web page, not with the file")
        encoding = answer.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise _Settled(f"it sends the file as {encoding}, although it was asked not to")
        if self._partial.size:
            self._display.say("The server starts from the beginning.")
            self._partial.restart()
        self._partial.resumed = 0
        return _number(answer.headers.get("Content-Length"))

    def _range_total(self, answer: requests.Response) -> int | None:
        """Return the whole size from a 206. Raises _NotAsAsked unless it is exactly the rest that was asked for."""
        text = answer.headers.get("Content-Range", "")
        match = _RANGE.fullmatch(text.strip())
        if match is None:
            raise _NotAsAsked(f"sends a part and does not say which (Content-Range {text!r})")
        start, last, total = int(match[1]), int(match[2]), _number(match[3])
        length = _number(answer.headers.get("Content-Length"))
        known = self._partial.origin()
        right = start == self._partial.size and last >= start
        right &= total is None or last == total - 1
        right &= length is None or length == last - start + 1
        right &= None in (total, known.get("total")) or known.get("total") == total
        if not right:
            raise _NotAsAsked(f"sends another part than was asked for ({text}, not from {self._partial.size})")
        return total if total is not None else last + 1

    def _note(self, answer: requests.Response, total: int | None) -> None:
        tag = answer.headers.get("ETag", "")
        validator = tag if tag.startswith('"') else answer.headers.get("Last-Modified")
        self._partial.note({"address": self._key, "validator": validator, "total": total})

    def _require_space(self, wanted: Wanted, total: int | None) -> None:
        missing = (total or 0) - self._partial.size
        free = shutil.disk_usage(self._partial.folder).free
        if missing > free:
            raise _no_space(wanted, missing, free)

    def _receive(self, answer: requests.Response, total: int | None) -> None:
        """Append the body. Raises _Passing where it breaks off, _NotAsAsked where it is longer than was said."""
        chunks = answer.raw.stream(_CHUNK_BYTES, decode_content=False)
        while True:
            try:
                chunk = next(chunks, None)
            except (HTTPError, OSError) as error:
                why = "" if isinstance(error, ProtocolError) else f" ({_cause(error)})"
                raise self._broken(total, why) from error
            if chunk is None:
                break
            self._partial.append(chunk)
            self._display.progress(self._partial.size, total, "bytes")
        if total is not None and self._partial.size < total:
            raise self._broken(total, "")
        if total is not None and self._partial.size > total:
            raise _NotAsAsked(f"sends more than the {total} bytes that it says the file has")

    def _broken(self, total: int | None, why: str) -> _Passing:
        of_how_many = "" if total is None else f" of {readable(total)}"
        return _Passing(f"the connection broke after {readable(self._partial.size)}{of_how_many}{why}")


def new_session() -> requests.Session:
    """Return a session with the proxies and the CA bundle of the user's environment."""
    session = requests.Session()
    session.headers["User-Agent"] = f"mlperf-docker/{__version__}"
    bundle = next((path for name in _BUNDLES if (path := os.environ.get(name)) and Path(path).is_file()), None)
    if bundle is not None:
        session.verify = bundle
    return session


def _refused(answer: requests.Response) -> _Fault:
    said = f"{answer.status_code} {answer.reason or HTTPStatus(answer.status_code).phrase}".strip()
    if answer.status_code not in _PASSING_STATUS:
        return _Settled(said)
    return _Passing(said, wait_s=_number(answer.headers.get("Retry-After")))


def _translated(error: Exception) -> _Fault:
    """Return what requests raised before an answer came, as a fault that passes or one that does not."""
    cause = _cause(error)
    match error:
        case SSLError():
            return _Settled(f"its certificate is not trusted ({cause}); REQUESTS_CA_BUNDLE names your own authorities")
        case ProxyError():
            return _Passing(f"the proxy does not let us through ({cause})", tries=TRIES_TO_CONNECT)
        case ConnectTimeout():
            return _Passing(f"nobody answers within {CONNECT_TIMEOUT_S:g} s", tries=TRIES_TO_CONNECT)
        case Timeout():
            return _Passing(f"no answer within {READ_TIMEOUT_S:g} s")
        case RequestsConnectionError() if "NewConnection" in repr(error) or "NameResolution" in repr(error):
            return _Passing(f"it cannot be reached ({cause})", tries=TRIES_TO_CONNECT)
        case RequestsConnectionError():
            return _Passing(f"the connection broke ({cause})")
        case _:
            return _Settled(cause)


def _cause(error: BaseException) -> str:
    """Return what the system said, else the innermost error that says anything."""
    said = [text for each in network_errors.chain(error) if (text := str(each).strip())]
    return network_errors.of_the_system(error) or (said[-1] if said else type(error).__name__)


def _shortened(name: str) -> str:
    """Return *name* with room left beside it for the bar: some official names take a whole line."""
    return name if len(name) <= _NAME_WIDTH else f"{name[: _NAME_WIDTH // 2]}…{name[-_NAME_WIDTH // 3 :]}"


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _shown(url: str, wanted: Wanted) -> str:
    """Return *url* for people; of the user's own, without what may be a secret."""
    parts = urlsplit(url)
    if not wanted.private:
        return url
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _nobody_gave_it(wanted: Wanted, said: list[str]) -> FetchError:
    count = "its address" if len(said) == 1 else f"any of its {len(said)} addresses"
    kept = _size(wanted.partial)
    rest = f" What came so far ({readable(kept)}) is kept for the next time." if kept else ""
    return FetchError(
        "\n  ".join((f"{wanted.name} could not be fetched from {count}:", *said)),
        hint=f"Try again later, name a mirror of your own with --url URL, or put the file at {wanted.target}.{rest}",
        exit_code=wanted.exit_code,
    )


def _no_space(wanted: Wanted, missing: int, free: int) -> DownloadError:
    return DownloadError(
        f"The disk of {wanted.target.parent} has no room: {readable(missing)} more are needed, and {readable(free)} are"
        " free.",
        hint=f"Free some, or name another folder as {wanted.folder_option}; the same command goes on from what has"
        " come.",
        exit_code=wanted.exit_code,
    )


def _cannot_write(wanted: Wanted, error: OSError) -> DownloadError:
    return DownloadError(
        f"{wanted.name} cannot be written to {wanted.target.parent}: {error.strerror or error}.",
        hint=f"Free some space or check the permissions there, or name another folder as {wanted.folder_option}.",
        exit_code=wanted.exit_code,
    )


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


@contextlib.contextmanager
def _claimed(wanted: Wanted, display: Display) -> Iterator[_Partial]:
    """Hold the partial file alone and yield it. Whoever is second waits, and finds the file in its place then.

    The lock is on the file itself, so it is gone with its holder, and there is no lock file to leave behind.
    """
    descriptor = _lock(wanted, display)
    try:
        partial = _Partial(descriptor, wanted)
        try:
            yield partial
        finally:
            partial.leave()
    finally:
        os.close(descriptor)


def _lock(wanted: Wanted, display: Display) -> int:
    path, told = wanted.partial, False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if not exclusive.lock(descriptor, wait=False):
                exclusive.tell_missing(path.parent, "a second download", display.say)
                return descriptor
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(descriptor).st_ino == path.stat().st_ino:
                    return descriptor
        except BlockingIOError:
            if not told:
                display.say(f"Another process fetches {wanted.name}; waiting for it.")
                told = True
            time.sleep(_LOCK_POLL_S)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
