"""Pulls and pushes through the engine. A temporary fault is retried; a permanent one is explained."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from mlperf_docker.engine.engine import Engine, EngineLostError, EngineRefusedError, EngineSilentError, Message
from mlperf_docker.errors import EngineError, RegistryError
from mlperf_docker.registry.references import host_of, parted
from mlperf_docker.registry.refusals import patiently, refused


@dataclass(frozen=True)
class LayerEvent:
    """Progress of one layer."""

    layer: str
    state: str
    """The engine's words."""
    current: int = 0
    """Bytes so far; 0 if it does not say."""
    total: int = 0
    """Bytes in all; 0 if it does not say."""


@dataclass(frozen=True)
class TransferListener:
    """Callbacks of a transfer."""

    on_layer: Callable[[LayerEvent], None] = lambda _: None
    """Called with every layer's progress."""
    say: Callable[[str], None] = lambda _: None
    """Called with every attempt that failed and is repeated."""
    waits_s: Sequence[float] | None = None
    """Before each further attempt; None for the usual ones, () for a transfer that has an alternative."""


def pull(client: Engine, reference: str, listener: TransferListener) -> None:
    """Have the engine pull *reference*, a name with a tag, a digest or neither. Raises RegistryError.

    The engine names nothing before it has all layers and has verified them; interrupted, it drops what is incomplete.
    """
    name, digest, tag = parted(reference)
    _transfer("pulled", reference, listener, lambda: client.pull_image(name, digest or tag))


def push(client: Engine, reference: str, listener: TransferListener) -> str:
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


def _transfer(
    done: str, reference: str, listener: TransferListener, begin: Callable[[], Generator[Message]]
) -> Message:
    """Return the message with which the engine ends. done: the transfer's participle, for what is said of a failure."""
    what, host = f"{reference} cannot be {done}", host_of(reference)

    def attempt() -> Message:
        with _explained(what, host), closing(begin()) as messages:
            return _follow(messages, what, host, listener.on_layer)

    return patiently(attempt, listener.say, listener.waits_s)


@contextmanager
def _explained(what: str, host: str) -> Iterator[None]:
    """Say of the engine's errors what they mean for a transfer: a registry's refusal, or an engine that is gone."""
    try:
        yield
    except EngineRefusedError as error:
        raise refused(what, host, error.reason) from error
    except EngineSilentError as error:
        raise refused(what, host, "the engine said nothing for too long: time out") from error
    except EngineLostError as error:
        raise EngineError(
            f"{what}: the connection to the engine broke: {error.reason}",
            hint="See what it says: mlperf-docker doctor; then run the same command again.",
        ) from error


def _follow(messages: Generator[Message], what: str, host: str, on_layer: Callable[[LayerEvent], None]) -> Message:
    """Hand the layers' progress on, and return the last message. An error comes in an answer that began well."""
    ending: Message = {}
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
