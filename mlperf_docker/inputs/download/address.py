"""Address of a file: asked for the bytes that are missing, its answers checked, its transient faults retried.

urllib3's Retry repeats a request until its answer begins, and httpx 0.28 until there is a connection: to both, a body
that breaks off is an error. tenacity 9.2, which the registry's client uses, counts tries; here one that got on starts
the count anew, and each kind of fault has its own number of tries and its own wait, which the server may set.
"""

import hashlib
import os
import re
import shutil
import time
from http import HTTPStatus
from urllib.parse import urlsplit

import requests
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ConnectTimeout, ProxyError, RequestException, SSLError, Timeout
from urllib3.exceptions import HTTPError, ProtocolError

from mlperf_docker import __version__
from mlperf_docker.display.progress import Display
from mlperf_docker.display.sizes import readable
from mlperf_docker.inputs.checksums import Checksum
from mlperf_docker.inputs.download.partial import Partial
from mlperf_docker.inputs.download.wanted import DownloadError, Wanted
from mlperf_docker.system import network_errors
from mlperf_docker.system.ca_bundles import ca_bundle

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
BACKOFF_S = 0.5  # doubles with every failure in a row
LONGEST_WAIT_S = 30.0
TRIES = 5
TRIES_TO_CONNECT = 3  # where nobody answers at all, another address is worth more than patience
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


class AddressError(Exception):
    """Why an address did not give the file; trying it again would not help."""


class _TransientError(AddressError):
    """Fault that may pass. tries: how often to try in a row; wait_s: the server's Retry-After."""

    def __init__(self, message: str, *, tries: int = 0, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.tries = tries or TRIES
        self.wait_s = wait_s


class _RangeError(AddressError):
    """The server cannot be trusted with ranges: what it sent is not what was asked for."""


class Address:
    """Address of a file, with all faults that its server may have."""

    def __init__(self, session: requests.Session, url: str, partial: Partial, display: Display) -> None:
        self._session, self._url, self._partial, self._display = session, url, partial, display
        self._key = hashlib.sha256(url.encode()).hexdigest()  # in the note: an address may hold a secret
        self._ranges = True
        self._fresh = False

    def get(self, wanted: Wanted) -> None:
        """Bring the partial file to its end, verified. Raises AddressError where this address does not give it."""
        self._display.phase(f"fetch {_shortened(wanted.name)} from {urlsplit(self._url).hostname}")
        failures, furthest = 0, self._partial.size
        while True:
            try:
                self._attempt(wanted)
            except _RangeError as fault:
                if not self._ranges:
                    raise AddressError(f"it {fault}") from fault
                self._ranges = False
                self._partial.restart()
                self._display.say(f"The server {fault}; starting afresh.")
            except _TransientError as fault:
                failures = 1 if self._partial.size - furthest >= _HEADWAY_BYTES else failures + 1
                furthest = max(furthest, self._partial.size)
                self._wait(fault, failures)
            else:
                if self._verified(wanted.checksum):
                    return

    def _wait(self, fault: _TransientError, failures: int) -> None:
        if failures >= fault.tries:
            raise AddressError(f"{fault} (tried {failures} times)")
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
        raise AddressError(f"{checksum.algorithm} is {found}, and {checksum.value} is expected")

    def _attempt(self, wanted: Wanted) -> None:
        """Ask once, for what is missing, and take what comes. Raises AddressError."""
        headers = self._headers(wanted)
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

    def _headers(self, wanted: Wanted) -> dict[str, str]:
        """Return the headers of the next request. A partial file that cannot be continued is forgotten first."""
        headers = {"Accept-Encoding": "identity"}
        origin = self._partial.origin() if self._partial.size else {}
        validator = origin.get("validator") if origin.get("address") == self._key else None
        # Of a file with a checksum any address may give the rest; without one, only the same version of the same file.
        resumable = self._ranges and (wanted.checksum is not None or validator is not None)
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
            raise _RangeError("has no more bytes than are here, and these are not the file")
        if answer.status_code != HTTPStatus.OK:
            raise _refused(answer)
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if kind == "text/html":
            raise AddressError("it answers with a web page, not with the file")
        encoding = answer.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise AddressError(f"it sends the file as {encoding}, although it was asked not to")
        if self._partial.size:
            self._display.say("The server starts from the beginning.")
            self._partial.restart()
        self._partial.resumed = 0
        return _number(answer.headers.get("Content-Length"))

    def _range_total(self, answer: requests.Response) -> int | None:
        """Return the whole size from a 206. Raises _RangeError unless it is exactly the rest that was asked for."""
        text = answer.headers.get("Content-Range", "")
        match = _RANGE.fullmatch(text.strip())
        if match is None:
            raise _RangeError(f"sends a part and does not say which (Content-Range {text!r})")
        start, last, total = int(match[1]), int(match[2]), _number(match[3])
        length = _number(answer.headers.get("Content-Length"))
        known = self._partial.origin()
        right = start == self._partial.size and last >= start
        right &= total is None or last == total - 1
        right &= length is None or length == last - start + 1
        right &= None in (total, known.get("total")) or known.get("total") == total
        if not right:
            raise _RangeError(f"sends another part than was asked for ({text}, not from {self._partial.size})")
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
        """Append the body. Raises _TransientError where it breaks off, _RangeError where it is longer than was said."""
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
            raise _RangeError(f"sends more than the {total} bytes that it says the file has")

    def _broken(self, total: int | None, why: str) -> _TransientError:
        of_how_many = "" if total is None else f" of {readable(total)}"
        return _TransientError(f"the connection broke after {readable(self._partial.size)}{of_how_many}{why}")


def new_session() -> requests.Session:
    """Return a session with the proxies and the CA bundle of the user's environment."""
    session = requests.Session()
    session.headers["User-Agent"] = f"mlperf-docker/{__version__}"
    if bundle := ca_bundle(os.environ):
        session.verify = str(bundle[1])  # requests itself prefers REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE
    return session


def _refused(answer: requests.Response) -> AddressError:
    said = f"{answer.status_code} {answer.reason or HTTPStatus(answer.status_code).phrase}".strip()
    if answer.status_code not in _PASSING_STATUS:
        return AddressError(said)
    return _TransientError(said, wait_s=_number(answer.headers.get("Retry-After")))


def _translated(error: Exception) -> AddressError:
    """Return what requests raised before an answer came, as a fault that passes or one that does not."""
    cause = _cause(error)
    match error:
        case SSLError():
            return AddressError(
                f"its certificate is not trusted ({cause}); REQUESTS_CA_BUNDLE names your own authorities"
            )
        case ProxyError():
            return _TransientError(f"the proxy does not let us through ({cause})", tries=TRIES_TO_CONNECT)
        case ConnectTimeout():
            return _TransientError(f"nobody answers within {CONNECT_TIMEOUT_S:g} s", tries=TRIES_TO_CONNECT)
        case Timeout():
            return _TransientError(f"no answer within {READ_TIMEOUT_S:g} s")
        case RequestsConnectionError() if "NewConnection" in repr(error) or "NameResolution" in repr(error):
            return _TransientError(f"it cannot be reached ({cause})", tries=TRIES_TO_CONNECT)
        case RequestsConnectionError():
            return _TransientError(f"the connection broke ({cause})")
        case _:
            return AddressError(cause)


def _cause(error: BaseException) -> str:
    """Return what the system said, else the innermost error that says anything."""
    said = [text for each in network_errors.chain(error) if (text := str(each).strip())]
    return network_errors.of_the_system(error) or (said[-1] if said else type(error).__name__)


def _shortened(name: str) -> str:
    """Return *name* with room left beside it for the bar: some official names take a whole line."""
    return name if len(name) <= _NAME_WIDTH else f"{name[: _NAME_WIDTH // 2]}…{name[-_NAME_WIDTH // 3 :]}"


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _no_space(wanted: Wanted, missing: int, free: int) -> DownloadError:
    return DownloadError(
        f"The disk of {wanted.target.parent} has no room: {readable(missing)} more are needed, and {readable(free)} are"
        " free.",
        hint=f"Free some, or name another folder as {wanted.folder_option}; the same command goes on from what has"
        " come.",
        exit_code=wanted.exit_code,
    )
