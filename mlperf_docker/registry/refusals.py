"""Refusals of engine and registries: permanent with a cause and a remedy, or temporary and retried by tenacity."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from mlperf_docker.errors import RegistryError

if TYPE_CHECKING:
    from tenacity import RetryCallState

WAITS_S = (1.0, 2.0, 4.0)  # between four attempts; the engine itself has tried each layer five times before
_Result = TypeVar("_Result")


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
    """Pattern of a permanent refusal by the engine or the registry."""

    signs: tuple[str, ...]
    """Words of the refusal, in small letters."""
    cause: str
    """Meaning of the words; `{host}` is the registry."""
    hint: str
    """Remedy; `{host}` is the registry."""
    kind: type[RefusedError] = RefusedError
    """Class of the error that it becomes."""


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
    # Imported here, as most commands ask no registry.
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_chain, wait_fixed

    waits = WAITS_S if waits_s is None else waits_s
    retrying = Retrying(
        retry=retry_if_exception_type(PassingError),
        wait=wait_chain(*map(wait_fixed, (*waits, 0))),
        stop=stop_after_attempt(len(waits) + 1),
        before_sleep=lambda state: say(_told(state)),
        reraise=True,
    )
    return retrying(attempt)


def _told(state: "RetryCallState") -> str:
    error = state.outcome.exception() if state.outcome else None
    said = f"{error.what}: {error.reason}" if isinstance(error, RefusedError) else str(error)
    return f"{said}; trying again in {state.upcoming_sleep:g} s."
