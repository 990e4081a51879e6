"""What is asked of a registry over HTTP: tokens, pages, indexes, digests, faults. The real one is in tests/registry."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mlperf_docker.engine import transfer
from mlperf_docker.engine.registry import Registries
from mlperf_docker.engine.transfer import PassingError, RefusedError

OURS = "linux/amd64"
INDEX = "application/vnd.oci.image.index.v1+json"
Answer = tuple[int, dict[str, str], bytes]


def digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@dataclass
class Served:
    """A registry that answers what *answer* says of a path, and remembers what it was asked."""

    host: str = ""
    answer: Callable[[str, dict[str, str]], Answer] = lambda *_: (404, {}, b"")
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Served]:
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            path = f"{self.path}{'?' if length else ''}{self.rfile.read(length).decode()}"
            served.asked.append(path)
            status, headers, body = served.answer(path, dict(self.headers))
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  # the base class's name

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.host = f"127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield served
        finally:
            server.shutdown()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(transfer, "WAITS_S", (0.0, 0.0))
    with serving() as found:
        yield found


def log_in(tmp_path: Path, host: str, **entry: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: entry}}))


def body(value: Any, kind: str = "application/json") -> Answer:
    return 200, {"Content-Type": kind}, json.dumps(value).encode()


def with_token(served: Served, expected: str) -> Callable[[str, dict[str, str]], Answer]:
    """Want a token for each repository, and give it to whoever *expected* says."""

    def answer(path: str, headers: dict[str, str]) -> Answer:
        url = urlsplit(path)
        said = headers.get("Authorization", "")
        if url.path == "/token":
            asked = parse_qs(url.query)
            if (said or asked.get("refresh_token", [""])[0]) != expected:
                return 401, {}, b'{"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]}'
            return body({"access_token": f"for {asked['scope'][0]} at {asked['service'][0]}"})
        scope = "repository:team/bert:pull"
        if said != f"Bearer for {scope} at test":
            challenge = f'Bearer realm="http://{served.host}/token",service="test",scope="{scope}"'
            return 401, {"WWW-Authenticate": challenge}, b"{}"
        return body({"name": "team/bert", "tags": ["b", "a"]})

    return answer


def test_a_token_is_asked_for_once_with_dockers_login(served: Served, tmp_path: Path) -> None:
    encoded = base64.b64encode(b"me:hunter2").decode()
    log_in(tmp_path, served.host, auth=encoded)
    served.answer = with_token(served, f"Basic {encoded}")
    asked = Registries({}, OURS)
    assert asked.tags(f"{served.host}/team/bert") == ("a", "b")
    assert asked.tags(f"{served.host}/team/bert") == ("a", "b")
    assert [path.partition("?")[0] for path in served.asked] == [
        "/v2/team/bert/tags/list",
        "/token",
        "/v2/team/bert/tags/list",
        "/v2/team/bert/tags/list",
    ]


def test_a_token_for_nobody_and_for_an_identity_token(served: Served, tmp_path: Path) -> None:
    served.answer = with_token(served, "")
    assert Registries({}, OURS).tags(f"{served.host}/team/bert") == ("a", "b")
    log_in(tmp_path, served.host, identitytoken="refresh")
    served.answer = with_token(served, "refresh")
    assert Registries({}, OURS).tags(f"{served.host}/team/bert") == ("a", "b")


def test_a_token_that_is_refused_is_a_wrong_login(served: Served, tmp_path: Path) -> None:
    log_in(tmp_path, served.host, auth=base64.b64encode(b"me:wrong").decode())
    served.answer = with_token(served, "somebody else")
    with pytest.raises(RefusedError, match="incorrect username or password") as caught:
        Registries({}, OURS).tags(f"{served.host}/team/bert")
    assert caught.value.hint == f"Log in (again): docker login {served.host}"
    assert len(served.asked) == 2, "not tried again"


def test_tags_come_page_by_page(served: Served) -> None:
    def answer(path: str, _: dict[str, str]) -> Answer:
        if "last=b" in path:
            return body({"tags": ["c"]})
        status, headers, content = body({"tags": ["b", "a"]})
        return status, {**headers, "Link": '</v2/team/bert/tags/list?last=b>; rel="next"'}, content

    served.answer = answer
    assert Registries({}, OURS).tags(f"{served.host}/team/bert") == ("a", "b", "c")


def image(architecture: str) -> dict[str, bytes]:
    """Return an image's manifest and configuration by their digests, the manifest first."""
    config = json.dumps({"os": "linux", "architecture": architecture, "config": {"Labels": {"for": architecture}}})
    manifest = {
        "schemaVersion": 2,
        "config": {"digest": digest(config.encode()), "size": len(config)},
        "layers": [{"digest": f"sha256:{'1' * 64}", "size": 7}],
    }
    content = json.dumps(manifest).encode()
    return {digest(content): content, digest(config.encode()): config.encode()}


def store(blobs: dict[str, bytes], tagged: bytes) -> Callable[[str, dict[str, str]], Answer]:
    def answer(path: str, _: dict[str, str]) -> Answer:
        content = blobs.get(path.rpartition("/")[2], tagged if path.endswith("/manifests/1") else None)
        return (404, {}, b"{}") if content is None else (200, {"Docker-Content-Digest": digest(content)}, content)

    return answer


def test_an_index_is_looked_up_for_this_platform(served: Served) -> None:
    images = {"amd64": image("amd64"), "arm64": image("arm64")}
    entries = [
        {"digest": next(iter(each)), "platform": {"os": "linux", "architecture": name}} for name, each in images.items()
    ]
    attestation = {"digest": "sha256:0", "platform": {"os": "unknown", "architecture": "unknown"}}
    index = json.dumps({"mediaType": INDEX, "manifests": [*entries, attestation]}).encode()
    served.answer = store({**images["amd64"], **images["arm64"]}, index)
    found = Registries({}, "linux/arm64").describe(f"{served.host}/team/bert:1")
    assert found is not None
    assert (found.digest, found.platforms) == (digest(index), ("linux/amd64", "linux/arm64"))
    assert (found.labels, found.layers) == ({"for": "arm64"}, {f"sha256:{'1' * 64}": 7})
    assert found.pinned == f"{served.host}/team/bert@{digest(index)}"
    other = Registries({}, "linux/riscv64").describe(f"{served.host}/team/bert:1")
    assert other is not None
    assert (other.platforms, other.labels) == (found.platforms, {})
    assert Registries({}, OURS).describe(f"{served.host}/team/bert:2") is None


@pytest.mark.parametrize("changed", ["manifest", "configuration"])
def test_what_is_not_what_its_digest_says(served: Served, changed: str) -> None:
    blobs = image("amd64")
    manifest, config = blobs
    right = store(blobs, blobs[manifest])

    def answer(path: str, headers: dict[str, str]) -> Answer:
        status, fields, content = right(path, headers)
        hit = path.endswith(config) == (changed == "configuration")
        return status, fields, content + b" " if hit else content

    served.answer = answer
    with pytest.raises(RefusedError, match="is not what its digest says"):
        Registries({}, OURS).describe(f"{served.host}/team/bert:1")


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_registry_is_asked_again(served: Served, status: int) -> None:
    answers = [(status, {}, b""), (status, {}, b""), body({"tags": ["a"]})]
    served.answer = lambda *_: answers.pop(0)
    said: list[str] = []
    assert Registries({}, OURS, said.append).tags(f"{served.host}/x") == ("a",)
    assert len(said) == 2
    assert f"HTTP {status}" in said[0]


@pytest.mark.parametrize("status", [400, 403])
def test_one_that_refuses_is_not(served: Served, status: int) -> None:
    served.answer = lambda *_: (status, {}, b'{"errors": [{"code": "DENIED", "message": "not for you"}]}')
    with pytest.raises(RefusedError, match="not for you"):
        Registries({}, OURS).tags(f"{served.host}/x")
    assert len(served.asked) == 1


def test_what_is_no_registry(served: Served) -> None:
    served.answer = lambda *_: (200, {}, b"<html>Welcome</html>")
    with pytest.raises(RefusedError, match="the answer is not a registry's"):
        Registries({}, OURS).tags(f"{served.host}/x")
    with pytest.raises(RefusedError, match="the answer is not a registry's"):
        Registries({}, OURS).describe(f"{served.host}/x:1")


def test_nobody_there(served: Served) -> None:
    with serving() as gone:
        pass
    said: list[str] = []
    with pytest.raises(PassingError, match="connection refused"):
        Registries({}, OURS, said.append).tags(f"{gone.host}/x")
    assert len(said) == 2


def test_a_host_that_does_not_exist(served: Served) -> None:
    with pytest.raises(RefusedError, match="There is no host of that name") as caught:
        Registries({}, OURS).tags("no-such-registry.invalid/x")
    assert not isinstance(caught.value, PassingError)
