"""Retries of transfers: temporary and permanent faults, in the words of real engines and registries."""

import time
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine import transfer
from mlperf_docker.engine.engine import EngineGoneError, EngineRefusedError, EngineSilentError, Message
from mlperf_docker.engine.transfer import LayerEvent, TransferListener
from mlperf_docker.errors import EngineError
from mlperf_docker.registry.references import parted
from mlperf_docker.registry.refusals import PassingError, RefusedError, refused
from tests.fakes.engine import EmptyEngine

REFERENCE = "registry.test:5000/team/bert:exact"
DIGEST = f"sha256:{'d' * 64}"
PUSHED = {"aux": {"Tag": "exact", "Digest": DIGEST, "Size": 1}}
PASSING = (
    'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
    "read tcp 172.17.0.1:55372->172.17.0.2:443: read: connection reset by peer",
    "write tcp 10.0.0.1:1->10.0.0.2:2: write: broken pipe",
    "received unexpected HTTP status: 503 Service Unavailable",
    "received unexpected HTTP status: 500 Internal Server Error",
    "toomanyrequests: You have reached your pull rate limit.",
    "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
    "net/http: TLS handshake timeout",
    "dial tcp: lookup registry.test on 10.0.0.1:53: read udp 10.0.0.2:3->10.0.0.1:53: i/o timeout",
    "unexpected EOF",
    "context deadline exceeded",
    "HTTP 429 Too Many Requests",
)
SETTLED = {
    "manifest for registry.test:5000/x:1 not found: manifest unknown: manifest unknown": "no such tag",
    "unauthorized: authentication required": "login",
    "no basic auth credentials": "Docker has no login for registry.test:5000",
    "denied: requested access to the resource is denied": "does not allow this",
    "pull access denied for x, repository does not exist or may require 'docker login'": "does not allow this",
    "filesystem layer verification failed for digest sha256:12": "is not what its digest says",
    "the digest sha256:12 does not match sha256:34": "is not what its digest says",
    "x509: certificate signed by unknown authority": "certificate is not trusted",
    "remote error: tls: bad certificate": "certificate is not trusted",
    "http: server gave HTTP response to HTTPS client": "speaks no TLS",
    "dial tcp: lookup no.test on 10.0.0.1:53: no such host": "no host of that name",
    "name or service not known": "no host of that name",
    "write /var/lib/docker/tmp/GetImageBlob1: no space left on device": "The engine's disk is full",
    "failed to register layer: ApplyLayer exit status 1 stdout:  stderr: write /x: no space left on device": "disk",
    "no matching manifest for linux/arm64/v8 in the manifest list entries": "other architectures",
    "something that nobody has seen": "",
}


class Scripted(EmptyEngine):
    """An engine that answers each pull or push with the next of *answers*; an error is raised where it stands."""

    def __init__(self, *answers: Sequence[Message | Exception]) -> None:
        self.answers = list(answers)
        self.closed = 0

    def pull_image(self, name: str, tag: str) -> Generator[Message]:
        assert (name, tag) == (REFERENCE.rpartition(":")[0], "exact")
        try:
            for message in self.answers.pop(0):
                if isinstance(message, Exception):
                    raise message
                yield message
        finally:
            self.closed += 1

    push_image = pull_image


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, without waiting."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


@pytest.mark.parametrize("said", PASSING)
def test_a_temporary_fault_is_retried_after_growing_waits(said: str, slept: list[float]) -> None:
    heard: list[str] = []
    scripted = Scripted([{"error": said}], [{"error": said}], [PUSHED])
    assert transfer.push(scripted, REFERENCE, TransferListener(say=heard.append)) == DIGEST
    assert slept == [1.0, 2.0]
    assert heard[1] == f"{REFERENCE} cannot be pushed: {said}; trying again in 2 s."
    assert scripted.closed == 3


@pytest.mark.parametrize(("said", "cause"), SETTLED.items())
def test_a_permanent_fault_is_not_retried(said: str, cause: str, slept: list[float]) -> None:
    with pytest.raises(RefusedError) as caught:
        transfer.pull(Scripted([{"error": said}]), REFERENCE, TransferListener())
    assert slept == []
    assert str(caught.value).startswith(f"{REFERENCE} cannot be pulled: {said}")
    assert cause in str(caught.value)
    assert (caught.value.hint is None) == (cause == "")
    assert caught.value.exit_code is ExitCode.REGISTRY


def test_a_transfer_is_given_up_in_the_end(slept: list[float]) -> None:
    down = [{"error": PASSING[0]}]
    with pytest.raises(PassingError, match="down, out of reach, or busy") as caught:
        transfer.pull(Scripted(down, down, down, down), REFERENCE, TransferListener())
    assert slept == [1.0, 2.0, 4.0]
    assert "registry.test:5000 answers" in (caught.value.hint or "")


def test_a_transfer_with_an_alternative_is_not_waited_for(slept: list[float]) -> None:
    with pytest.raises(PassingError):
        transfer.pull(Scripted([{"error": PASSING[0]}]), REFERENCE, TransferListener(waits_s=()))
    assert slept == []


def test_an_answer_with_an_error_status_counts_alike(slept: list[float]) -> None:
    busy, unknown = (
        EngineRefusedError(said) for said in ("received unexpected HTTP status: 502 Bad Gateway", "manifest unknown")
    )
    with pytest.raises(RefusedError, match="manifest unknown"):
        transfer.pull(Scripted([busy], [unknown]), REFERENCE, TransferListener())
    assert slept == [1.0]


def test_an_engine_that_goes_away_is_no_registry_that_is_down(slept: list[float]) -> None:
    broken = EngineGoneError("Connection broken: IncompleteRead(0 bytes read)", answering=True)
    with pytest.raises(EngineError, match="the connection to the engine broke"):
        transfer.pull(Scripted([{"status": "x"}, broken]), REFERENCE, TransferListener())
    assert slept == []


@pytest.mark.parametrize("answering", [False, True])
def test_a_silent_engine_is_asked_again(slept: list[float], *, answering: bool) -> None:
    transfer.pull(Scripted([EngineSilentError("x", answering=answering)], []), REFERENCE, TransferListener())
    assert slept == [1.0]


def test_every_layer_is_heard() -> None:
    heard: list[LayerEvent] = []
    messages: list[dict[str, Any] | Exception] = [
        {"status": "The push refers to repository [x]"},
        {"status": "Pushing", "progressDetail": {"current": 5, "total": 10}, "id": "0123456789ab"},
        {"status": "Layer already exists", "progressDetail": {}, "id": "ba9876543210"},
        PUSHED,
    ]
    transfer.push(Scripted(messages), REFERENCE, TransferListener(on_layer=heard.append))
    assert heard == [
        LayerEvent("0123456789ab", "Pushing", 5, 10),
        LayerEvent("ba9876543210", "Layer already exists"),
    ]


def test_a_listener_that_has_enough_ends_it() -> None:
    def stop(_: LayerEvent) -> None:
        raise KeyboardInterrupt

    scripted = Scripted([{"status": "Pushing", "id": "0123456789ab"}, PUSHED])
    with pytest.raises(KeyboardInterrupt):
        transfer.push(scripted, REFERENCE, TransferListener(on_layer=stop))
    assert scripted.closed == 1


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("debian", ("debian", "", "latest")),
        ("host:5000/x", ("host:5000/x", "", "latest")),
        ("host:5000/x:1", ("host:5000/x", "", "1")),
        (f"x:1@{DIGEST}", ("x", DIGEST, "1")),
        (f"host:5000/x@{DIGEST}", ("host:5000/x", DIGEST, "latest")),
    ],
)
def test_a_reference_is_parted_as_docker_reads_it(reference: str, parts: tuple[str, str, str]) -> None:
    assert parted(reference) == parts


def test_a_refusal_keeps_its_parts() -> None:
    error = refused("x cannot be pulled", "registry.test", "manifest unknown")
    assert (error.what, error.reason) == ("x cannot be pulled", "manifest unknown")
