"""Requests to a registry over HTTP: tokens, pages, indexes, digests, faults. A real one: tests/images."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from mlperf_docker.registry import client, refusals
from mlperf_docker.registry.client import RegistryClient
from mlperf_docker.registry.refusals import NoHostError, PassingError, RefusedError
from tests.fakes.registry import OURS, Answer, Served, body, digest, image, index, serving, store


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(refusals, "WAITS_S", (0.01, 0.02))
    with serving() as found:
        yield found


def log_in(tmp_path: Path, host: str, **entry: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: entry}}))


def bert_tags(*_: object) -> Answer:
    return body({"name": "team/bert", "tags": ["b", "a"]})


def with_token(
    served: Served, expected: str, repository: str = "team/bert", then: Callable[..., Answer] = bert_tags
) -> Callable[[str, dict[str, str]], Answer]:
    """Want a token for the repository, give it to whoever *expected* says, and *then* answer."""
    scope = f"repository:{repository}:pull"

    def answer(path: str, headers: dict[str, str]) -> Answer:
        url = urlsplit(path)
        said = headers.get("Authorization", "")
        if url.path == "/token":
            asked = parse_qs(url.query)
            if (said or asked.get("refresh_token", [""])[0]) != expected:
                return 401, {}, b'{"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]}'
            return body({"access_token": f"for {asked['scope'][0]} at {asked['service'][0]}"})
        if said != f"Bearer for {scope} at test":
            challenge = f'Bearer realm="http://{served.host}/token",service="test",scope="{scope}"'
            return 401, {"WWW-Authenticate": challenge}, b"{}"
        return then(path, headers)

    return answer


def test_a_token_is_asked_for_once_with_dockers_login(served: Served, tmp_path: Path) -> None:
    encoded = base64.b64encode(b"me:hunter2").decode()
    log_in(tmp_path, served.host, auth=encoded)
    served.answer = with_token(served, f"Basic {encoded}")
    asked = RegistryClient({}, OURS)
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
    assert RegistryClient({}, OURS).tags(f"{served.host}/team/bert") == ("a", "b")
    log_in(tmp_path, served.host, identitytoken="refresh")
    served.answer = with_token(served, "refresh")
    assert RegistryClient({}, OURS).tags(f"{served.host}/team/bert") == ("a", "b")


def test_a_token_that_is_refused_is_a_wrong_login(served: Served, tmp_path: Path) -> None:
    log_in(tmp_path, served.host, auth=base64.b64encode(b"me:wrong").decode())
    served.answer = with_token(served, "somebody else")
    with pytest.raises(RefusedError, match="incorrect username or password") as caught:
        RegistryClient({}, OURS).tags(f"{served.host}/team/bert")
    assert caught.value.hint == f"Log in (again): docker login {served.host}"
    assert len(served.asked) == 2, "not tried again"


def test_tags_come_page_by_page(served: Served) -> None:
    def answer(path: str, _: dict[str, str]) -> Answer:
        if "last=b" in path:
            return body({"tags": ["c"]})
        status, headers, content = body({"tags": ["b", "a"]})
        return status, {**headers, "Link": '</v2/team/bert/tags/list?last=b>; rel="next"'}, content

    served.answer = answer
    assert RegistryClient({}, OURS).tags(f"{served.host}/team/bert") == ("a", "b", "c")


def test_an_index_is_looked_up_for_this_platform(served: Served) -> None:
    images = {"amd64": image("amd64"), "arm64": image("arm64")}
    offered, layer = index(**images), list(images["arm64"])[2]
    served.answer = store({**images["amd64"], **images["arm64"]}, offered)
    found = RegistryClient({}, "linux/arm64").describe(f"{served.host}/team/bert:1")
    assert found is not None
    assert (found.digest, found.platforms) == (digest(offered), ("linux/amd64", "linux/arm64"))
    assert (found.labels, found.layers) == ({"for": "arm64"}, {layer: len(images["arm64"][layer])})
    assert found.pinned == f"{served.host}/team/bert@{digest(offered)}"
    other = RegistryClient({}, "linux/riscv64").describe(f"{served.host}/team/bert:1")
    assert other is not None
    assert (other.platforms, other.labels) == (found.platforms, {})
    assert RegistryClient({}, OURS).describe(f"{served.host}/team/bert:2") is None


@pytest.mark.parametrize("changed", ["manifest", "configuration"])
def test_a_manifest_that_contradicts_its_digest_is_refused(served: Served, changed: str) -> None:
    blobs = image("amd64")
    manifest, config, _ = blobs
    right = store(blobs, blobs[manifest])

    def answer(path: str, headers: dict[str, str]) -> Answer:
        status, fields, content = right(path, headers)
        hit = path.endswith(config) == (changed == "configuration")
        return status, fields, content + b" " if hit else content

    served.answer = answer
    with pytest.raises(RefusedError, match="is not what its digest says"):
        RegistryClient({}, OURS).describe(f"{served.host}/team/bert:1")


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_registry_is_asked_again(served: Served, status: int) -> None:
    answers = [(status, {}, b""), (status, {}, b""), body({"tags": ["a"]})]
    served.answer = lambda *_: answers.pop(0)
    said: list[str] = []
    assert RegistryClient({}, OURS, said.append).tags(f"{served.host}/x") == ("a",)
    assert [line.rpartition("; ")[2] for line in said] == ["trying again in 0.01 s.", "trying again in 0.02 s."]
    assert f"HTTP {status}" in said[0]


@pytest.mark.parametrize("status", [400, 403])
def test_a_registry_that_refuses_is_not_asked_again(served: Served, status: int) -> None:
    served.answer = lambda *_: (status, {}, b'{"errors": [{"code": "DENIED", "message": "not for you"}]}')
    with pytest.raises(RefusedError, match="not for you"):
        RegistryClient({}, OURS).tags(f"{served.host}/x")
    assert len(served.asked) == 1


def test_a_server_that_is_no_registry_is_refused(served: Served) -> None:
    served.answer = lambda *_: (200, {}, b"<html>Welcome</html>")
    with pytest.raises(RefusedError, match="the answer is not a registry's"):
        RegistryClient({}, OURS).tags(f"{served.host}/x")
    with pytest.raises(RefusedError, match="the answer is not a registry's"):
        RegistryClient({}, OURS).describe(f"{served.host}/x:1")


def test_a_registry_that_refuses_connections_is_asked_again_and_given_up(served: Served) -> None:
    with serving() as gone:
        pass
    said: list[str] = []
    with pytest.raises(PassingError, match="connection refused"):
        RegistryClient({}, OURS, said.append).tags(f"{gone.host}/x")
    assert len(said) == 2


def test_a_host_that_does_not_exist(served: Served) -> None:
    said: list[str] = []
    with pytest.raises(NoHostError, match="There is no host of that name"):
        RegistryClient({}, OURS, said.append).tags("no-such-registry.invalid/x")
    assert said == [], "not tried again"


def test_a_name_without_a_host_is_docker_hubs(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its images are on another host than its name says, those without a user's name below library/."""
    monkeypatch.setattr(client, "_HUB_HOST", served.host)
    monkeypatch.setenv("NO_PROXY", "*")
    encoded = base64.b64encode(b"me:hunter2").decode()
    log_in(tmp_path, "https://index.docker.io/v1/", auth=encoded)
    offered = index(amd64=image("amd64"))
    content = store(image("amd64"), offered, "bookworm-slim")
    hub = RegistryClient({"IndexConfigs": {"docker.io": {"Secure": False}}}, OURS)  # as the real one would need TLS
    for name, repository in (("debian", "library/debian"), ("nvidia/cuda", "nvidia/cuda")):
        served.asked.clear()
        served.answer = with_token(served, f"Basic {encoded}", repository, content)
        found = hub.describe(f"{name}:bookworm-slim")
        assert found is not None
        assert (found.name, found.digest, found.labels) == (name, digest(offered), {"for": "amd64"})
        assert served.asked[0] == f"/v2/{repository}/manifests/bookworm-slim"
        assert served.asked[1].startswith("/token?")
