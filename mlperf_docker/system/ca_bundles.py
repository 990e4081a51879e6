"""Environment variables that name a CA bundle, in order of precedence."""

import os
from collections.abc import Mapping
from pathlib import Path

CA_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def ca_bundle(environment: Mapping[str, str]) -> tuple[str, Path] | None:
    """Return the first variable that names a file, and the file, which may be unreadable; None if there is none."""
    for name in CA_VARIABLES:
        path = environment.get(name)
        if path and os.path.isfile(path):  # noqa: PTH113  # Path's own raises where it may not look
            return name, Path(path)
    return None
