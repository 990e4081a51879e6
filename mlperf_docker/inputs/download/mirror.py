"""Mirror given by --url: the address of one file, or of a folder."""

import re

from mlperf_docker.errors import UsageError

_ADDRESS = re.compile(r"https?://[^\s/]+/\S*")


def check(url: str, *, several: str | None = None) -> None:
    """Raise UsageError unless *url* is an address; several: why it has to be a folder's, where it has to."""
    if not _ADDRESS.fullmatch(url):
        raise UsageError(
            "--url is no address.", hint="Write http:// or https://, a host and a path; a folder's ends with a slash."
        )
    if several and not url.endswith("/"):
        raise UsageError(
            f"--url names one file, and {several}.",
            hint="Name the folder that they are in, with a slash at its end: --url https://mirror.example/folder/",
        )


def address(url: str, path: str) -> str:
    """Return where the mirror has the file that is *path* below its folder."""
    return f"{url}{path}" if url.endswith("/") else url
