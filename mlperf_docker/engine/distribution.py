"""Ask registries, through the engine and with docker's own logins, what a name stands for today; nothing is pulled."""

from docker.auth import resolve_repository_name
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from mlperf_docker.engine.client import Engine, explanation
from mlperf_docker.errors import RegistryError

# The engine's words for a registry that does not answer; it says 500 for that as for much else. All other words are a
# registry's own answer, which asking again would not change.
_DOWN = ("dial tcp", "timeout", "connection reset", ": eof", "proxyconnect", "bad gateway", "service unavailable")


class RegistryDownError(RegistryError):
    """No registry answers, which may pass."""


class RegistryDigests:
    """The digests of names, of whichever registry. One that does not answer is waited for once, not for every name."""

    def __init__(self, client: Engine) -> None:
        self._client = client
        self._down: dict[str, RegistryDownError] = {}

    def digest_of(self, reference: str) -> str:
        """Return the digest, `sha256:…`, that the registry has under *reference*, a name with its tag.

        Of an image for several architectures it is that of the list of them. Raises RegistryDownError where nothing
        answers, and RegistryError where the registry refuses or has no such tag.
        """
        registry, _ = resolve_repository_name(reference)
        if registry in self._down:
            raise self._down[registry]
        try:
            return self._asked(reference)
        except RegistryDownError as error:
            self._down[registry] = error
            raise

    def _asked(self, reference: str) -> str:
        try:
            found = self._client.inspect_distribution(reference)  # type: ignore[no-untyped-call]  # its stubs leave it so
        except APIError as error:
            reason = explanation(error)
            kind = RegistryDownError if any(sign in reason.lower() for sign in _DOWN) else RegistryError
            raise kind(f"{reference}: {reason}", hint=f"Try it by hand: docker pull {reference}") from error
        except (DockerException, RequestException) as error:
            raise RegistryDownError(f"{reference}: {error}") from error
        return str(found["Descriptor"]["digest"])
