"""Download of one file: resumable, from several addresses in turn, under its name only when it is complete and right.

pooch 1.9 was tried: each of its tries begins with the first byte, a 404 is tried again, and what an earlier run left is
not taken up. pypdl 1.5 leaves a file that broke off under the final name, and takes it for complete the next time.
"""

import contextlib
from urllib.parse import urlsplit

import requests

from mlperf_docker.display.progress import Display
from mlperf_docker.display.sizes import readable
from mlperf_docker.errors import Interrupted
from mlperf_docker.inputs import checksums
from mlperf_docker.inputs.download.address import Address, AddressError, new_session
from mlperf_docker.inputs.download.partial import Partial, claimed
from mlperf_docker.inputs.download.wanted import DownloadError, Fetched, FetchError, Wanted


def fetch(wanted: Wanted, display: Display, session: requests.Session | None = None) -> Fetched:
    """Return the file in its place, fetched if it is not there yet. session: the connections to use, for many files.

    Raises FetchError where no address gave it, DownloadError where it cannot be written, Interrupted on Ctrl-C; the
    bytes of an unfinished download stay for the next time, wrong ones never do.
    """
    connections = new_session() if session is None else contextlib.nullcontext(session)
    try:
        with connections as live, claimed(wanted, display) as partial:
            return _fetch(wanted, partial, display, live)
    except KeyboardInterrupt as error:
        kept = wanted.kept_bytes
        rest = f" {readable(kept)} are kept; the same command goes on from there." if kept else ""
        raise Interrupted(f"Interrupted while fetching {wanted.name}.{rest}") from error
    except OSError as error:
        raise _cannot_write(wanted, error) from error


def _fetch(wanted: Wanted, partial: Partial, display: Display, session: requests.Session) -> Fetched:
    if is_there(wanted, display):
        return Fetched(wanted.target, wanted.target.stat().st_size, None)
    partial.read(display)
    resumed = partial.size
    if resumed and partial.is_right():  # it was complete, and the tool was killed before it said so
        return _put_in_place(wanted, partial, Fetched(wanted.target, partial.size, None, resumed))
    said: list[str] = []
    for url in wanted.urls:
        try:
            Address(session, url, partial, display).get(wanted)
        except AddressError as fault:
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


def _put_in_place(wanted: Wanted, partial: Partial, fetched: Fetched) -> Fetched:
    partial.finish(wanted.target)
    if wanted.checksum is not None:
        checksums.remember(wanted.target, {wanted.checksum.algorithm: wanted.checksum.value})
    return fetched


def _shown(url: str, wanted: Wanted) -> str:
    """Return *url* for people; of the user's own, without what may be a secret."""
    parts = urlsplit(url)
    if not wanted.private:
        return url
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _nobody_gave_it(wanted: Wanted, said: list[str]) -> FetchError:
    count = "its address" if len(said) == 1 else f"any of its {len(said)} addresses"
    kept = wanted.kept_bytes
    rest = f" What came so far ({readable(kept)}) is kept for the next time." if kept else ""
    return FetchError(
        "\n  ".join((f"{wanted.name} could not be fetched from {count}:", *said)),
        hint=f"Try again later, name a mirror of your own with --url URL, or put the file at {wanted.target}.{rest}",
        exit_code=wanted.exit_code,
    )


def _cannot_write(wanted: Wanted, error: OSError) -> DownloadError:
    return DownloadError(
        f"{wanted.name} cannot be written to {wanted.target.parent}: {error.strerror or error}.",
        hint=f"Free some space or check the permissions there, or name another folder as {wanted.folder_option}.",
        exit_code=wanted.exit_code,
    )
