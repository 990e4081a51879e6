"""Pull and push an image through the engine. A fault that may pass is tried again; one that is settled is explained."""

import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from mlperf_docker.errors import EngineError, RegistryError

if TYPE_CHECKING:
    from mlperf_docker.engine.client import Engine

WAITS_S = (1.0, 2.0, 4.0)  # between four attempts; the engine itself has tried each layer five times before
_Result = TypeVar("_Result")
Messages: TypeAlias = Generator[dict[str, Any]]


class RefusedError(RegistryError):
    """A registry, or the engine that speaks to it, refuses. reason: in their own words."""

    def __init__(self, what: str, reason: str, cause: str = "", hint: str | None = None) -> None:
        super().__init__("\n".join(line for line in (f"{what}: {reason}", cause) if line), hint=hint)
        self.what, self.reason = what, reason


class NoHostError(RefusedError):
    """There is no host of that name, or none that this network knows."""


class PassingError(RefusedError):
    """A fault that may pass: the network's, or a registry that is busy or restarts."""


@dataclass(frozen=True)
class _Settled:
    """What the engine or the registry says when asking again would not help.

    signs: words of theirs, in small letters; cause, hint: what that means and what helps, `{host}` is the registry;
    kind: of the error that it becomes.
    """

    signs: tuple[str, ...]
    cause: str
    hint: str
    kind: type[RefusedError] = RefusedError


# The first that fits counts: where a login is missing, "denied" is said of it too.
_SETTLED = (
    _Settled(
        ("no space left on device",),
        "The engine's disk is full.",
        "Free some: docker system df, then docker image prune or docker builder prune; see mlperf-docker doctor.",
    ),
    _Settled(("no basic auth credentials",), "Docker has no login for {host}.", "Log in: docker login {host}"),
    _Settled(
        ("unauthorized",),
        "{host} does not accept docker's login, or needs one.",
        "Log in (again): docker login {host}",
    ),
    _Settled(("authentication required",), "{host} needs a login.", "Log in: docker login {host}"),
    _Settled(
        ("denied",),
        "{host} does not allow this to docker's login for it, or there is no such repository.",
        "Log in as somebody who may: docker login {host}",
    ),
    _Settled(
        ("verification failed", "does not match"),
        "What the registry, or a proxy before it, gave is not what its digest says.",
        "Push the image again. If it stays, the registry's storage is damaged, or something alters what it sends.",
    ),
    _Settled(("manifest unknown",), "The registry has no such tag.", "See what there is: mlperf-docker list --remote"),
    _Settled(
        ("x509", "certificate"),
        "The registry's certificate is not trusted.",
        "Put the authority's certificate into /etc/docker/certs.d/{host}/ca.crt on the engine's host.",
    ),
    _Settled(
        ("server gave http response to https client",),
        "The registry speaks no TLS.",
        'Give it a certificate, or add "{host}" to insecure-registries in the engine\'s daemon.json.',
    ),
    _Settled(
        ("no such host", "name or service not known"),
        "There is no host of that name.",
        "Check --registry, or MLPERF_DOCKER_REGISTRY.",
        NoHostError,
    ),
    _Settled(
        ("no matching manifest",),
        "The registry has it for other architectures only.",
        "Build it: mlperf-docker build",
    ),
)
_MAY_PASS = re.compile(
    r"connection (was )?(reset|refused|aborted|closed|broken)|closed network connection|broken pipe|\bEOF\b|incomplete"
    r"|time-?d? ?out|deadline exceeded|too ?many ?requests|\b(429|500|502|503|504)\b|http status: 5|unreachable"
    r"|temporary|try again|server misbehaving|internal ?(server )?error|unavailable",
    re.IGNORECASE,
)
_DOWN = ("The registry is down, out of reach, or busy.", "Check that {host} answers, then run the same command again.")


@dataclass(frozen=True)
class LayerEvent:
    """How far one layer has come. state: the engine's words; current, total: bytes, 0 where it does not say."""

    layer: str
    state: str
    current: int = 0
    total: int = 0


@dataclass(frozen=True)
class Listener:
    """Who hears of a transfer: of every layer's progress, and of every attempt that failed and is repeated.

    waits_s: before each further attempt; None is WAITS_S, and () is for what has another way out.
    """

    on_layer: Callable[[LayerEvent], None] = lambda _: None
    say: Callable[[str], None] = lambda _: None
    waits_s: Sequence[float] | None = None


def pull(client: "Engine", reference: str, listener: Listener) -> None:
    """Have the engine pull *reference*, a name with a tag, a digest or neither. Raises RegistryError.

    The engine names nothing before it has all layers and has verified them; interrupted, it drops what is incomplete.
    """
    name, digest, tag = parted(reference)
    _transfer("pulled", reference, listener, lambda: client.pull_image(name, digest or tag))


def push(client: "Engine", reference: str, listener: Listener) -> str:
    """Have the engine push the tag *reference*, and return the manifest's digest in the registry. Raises RegistryError.

    The registry gets the manifest last, so nobody sees a tag before all layers are there; it keeps those that an
    interrupted push brought.
    """
    name, _, tag = parted(reference)
    ending = _transfer("pushed", reference, listener, lambda: client.push_image(name, tag))
    digest = (ending.get("aux") or {}).get("Digest")
    if not digest:
        raise RegistryError(f"{reference} was pushed, and the engine does not tell its digest.")
    return str(digest)


def parted(reference: str) -> tuple[str, str, str]:
    """Return name, digest and tag of *reference*. Without a tag it means `latest`; the engine would take every tag."""
    named, _, digest = reference.partition("@")
    name, colon, tag = named.rpartition(":")
    if not colon or "/" in tag:  # no colon, or one that belongs to the registry's port
        return named, digest, "latest"
    return name, digest, tag


def host_of(name: str) -> str:
    """Return the registry that *name* begins with; without one it is Docker Hub, as docker reads it."""
    host, slash, _ = name.partition("/")
    return host if slash and has_host(name) else "docker.io"


def has_host(name: str) -> bool:
    """Whether *name* begins with a registry's host. A bare name would be a stranger's namespace on Docker Hub."""
    host = name.partition("/")[0]
    return "." in host or ":" in host or host == "localhost"


def refused(what: str, host: str, said: str) -> RefusedError:
    """Return the error for what the engine or a registry *said*: a PassingError where it may pass.

    what: the sentence's beginning, as "x/y:1 cannot be pulled".
    """
    for settled in _SETTLED:
        if any(sign in said.lower() for sign in settled.signs):
            return settled.kind(what, said, settled.cause.format(host=host), settled.hint.format(host=host))
    if _MAY_PASS.search(said):
        cause, hint = _DOWN
        return PassingError(what, said, cause, hint.format(host=host))
    return RefusedError(what, said)


def patiently(
    attempt: Callable[[], _Result], say: Callable[[str], None], waits_s: Sequence[float] | None = None
) -> _Result:
    """Return what *attempt* returns; after a PassingError wait, longer each time, and try again. waits_s: WAITS_S."""
    for wait in WAITS_S if waits_s is None else waits_s:
        try:
            return attempt()
        except PassingError as error:
            say(f"{error.what}: {error.reason}; trying again in {wait:g} s.")
            time.sleep(wait)
    return attempt()


def _transfer(done: str, reference: str, listener: Listener, begin: Callable[[], Messages]) -> dict[str, Any]:
    """Return the message with which the engine ends. done: the transfer's participle, for what is said of a failure."""
    what, host = f"{reference} cannot be {done}", host_of(reference)

    def attempt() -> dict[str, Any]:
        with _explained(what, host), closing(begin()) as messages:
            return _follow(messages, what, host, listener.on_layer)

    return patiently(attempt, listener.say, listener.waits_s)


@contextmanager
def _explained(what: str, host: str) -> Iterator[None]:
    """Turn what docker-py raises into our errors: the registry's refusals, and an engine that is gone or hangs."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException, Timeout
    from urllib3.exceptions import HTTPError
    from urllib3.exceptions import TimeoutError as Silence

    from mlperf_docker.engine.client import explanation

    try:
        yield
    except APIError as error:
        raise refused(what, host, explanation(error)) from error
    except (Timeout, Silence) as error:
        raise refused(what, host, "the engine said nothing for too long: time out") from error
    except (DockerException, RequestException, HTTPError) as error:
        raise EngineError(
            f"{what}: the connection to the engine broke: {error}",
            hint="See what it says: mlperf-docker doctor; then run the same command again.",
        ) from error


def _follow(messages: Messages, what: str, host: str, on_layer: Callable[[LayerEvent], None]) -> dict[str, Any]:
    """Hand the layers' progress on, and return the last message. An error comes in an answer that began well."""
    ending: dict[str, Any] = {}
    for message in messages:
        if "error" in message:
            raise refused(what, host, str(message["error"]))
        if "aux" in message:
            ending = message
        elif "id" in message:
            detail = message.get("progressDetail") or {}
            current, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
            on_layer(LayerEvent(str(message["id"]), str(message.get("status", "")), current, total))
    return ending
