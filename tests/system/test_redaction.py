"""No secret is printed, however it is spelt; and what is none stays as it is."""

import base64
import json
import os
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from mlperf_docker.system.redaction import hidden


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("user:secret@127.0.0.1:9", "***@127.0.0.1:9"),
        ("http://user:p@ss@127.0.0.1:1", "http://***@127.0.0.1:1"),
        ("http://user:p@secret@127.0.0.1:9/simple", "http://***@127.0.0.1:9/simple"),
        ("http://user:pa/ss@host:3128", "http://***@host:3128"),
        ("HTTPS://U:pw@[::1]:3128/", "HTTPS://***@[::1]:3128/"),
        ("from http://a:b@c, then https://token@d.test/x", "from http://***@c, then https://***@d.test/x"),
        ("['http://a:b@c','http://d:e@f']", "['http://***@c','http://***@f']"),
        ("HTTP_PROXY=user:pw@h:1,NO_PROXY=x", "HTTP_PROXY=***@h:1,NO_PROXY=x"),
        ("tcp://user:secret@127.0.0.1:9", "tcp://***@127.0.0.1:9"),
        ("HTTPS_PROXY=//user:p@secret@host, NO_PROXY=x", "HTTPS_PROXY=//***@host, NO_PROXY=x"),
        ("no such image: http:/user:pw@host/x", "no such image: http:/***@host/x"),
        ("ssh://root:pw@host", "ssh://***@host"),
        (r'{"url": "http:\/\/user:pw@host\/x"}', r'{"url": "http:\/\/***@host\/x"}'),
        ("?to=http%3A%2F%2Fuser%3Apw%40host%2Fx", "?to=http%3A%2F%2F***%40host%2Fx"),
        ("https://h/x?X-Amz-Signature=abcdef&part=1", "https://h/x?X-Amz-Signature=***&part=1"),
        ("https://h/x?sig=abc&access_token=d", "https://h/x?sig=***&access_token=***"),
        ("Proxy-Authorization: Basic dXNlcjpwdw==", "Proxy-Authorization: Basic ***"),
        ("{'X-Registry-Auth': b'e30='}", "{'X-Registry-Auth': b'***'}"),
        ('{"auths": {"r": {"auth": "dXNlcjpwdw=="}}}', '{"auths": {"r": {"auth": "***"}}}'),
        (r"\"identitytoken\":\"abc\"", r"\"identitytoken\":\"***\""),
        ("first http://a:b@c\nthen http://d:e@f", "first http://***@c\nthen http://***@f"),
    ],
)
def test_an_address_tells_by_its_form_where_a_login_stands(text: str, shown: str) -> None:
    assert hidden(text, {}) == shown
    assert hidden(shown, {}) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://index.test/simple/@scope",
        "/data//a:b@c // d:",
        "debian:bookworm-slim@sha256:96e378d7",
        "registry.test:5000/team/resnet50:onnxruntime-cpu@sha256:96e378d7",
        "ssh://root@host",
        "git@github.com:mlcommons/inference.git",
        "no basic auth credentials",
        "unauthorized: authentication required",
        "somebody@example.org",
        "https://h/file.zip?download=1&part=2",
        "numpy @ https://files.test/numpy.whl",
    ],
)
def test_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert hidden(text, {}) == text


PASSWORD = 'S3c"r/e t%'  # noqa: S105  # made up


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "PIP_INDEX_URL", "DOCKER_HOST", "UV_DEFAULT_INDEX"])
@pytest.mark.parametrize(
    "spelt",
    [
        PASSWORD,
        quote(PASSWORD, safe=""),
        quote(PASSWORD, safe="").lower().replace("s3c", "S3c"),
        json.dumps(PASSWORD)[1:-1],
        repr(PASSWORD)[1:-1],
        base64.b64encode(f"user:{PASSWORD}".encode()).decode(),
        base64.urlsafe_b64encode(f"user:{PASSWORD}".encode()).decode().rstrip("="),
    ],
)
def test_a_password_of_this_host_is_known_in_every_spelling(name: str, spelt: str) -> None:
    environment = {name: f"http://user:{quote(PASSWORD, safe='')}@host:1"}
    assert hidden(f"it said ({spelt}) and {spelt}.", environment) == "it said (***) and ***."


def test_a_proxy_without_a_scheme_is_known_too() -> None:
    environment = {"HTTP_PROXY": "user:pass/word@127.0.0.1:9"}
    assert hidden("HTTP_PROXY=user:pass/word@127.0.0.1:9, pass/word", environment) == "HTTP_PROXY=***@127.0.0.1:9, ***"


def test_a_login_without_a_host_is_a_login_all_the_same() -> None:
    assert hidden("HTTP_PROXY=http://me:hunter2", {"HTTP_PROXY": "http://me:hunter2"}) == "HTTP_PROXY=http://me:***"
    assert hidden("HTTP_PROXY=me:hunter2", {"HTTP_PROXY": "me:hunter2"}) == "HTTP_PROXY=me:***"
    for proxy in ("http://proxy.test:3128", "proxy.test:3128/", "http://[::1]:3128", "proxy.test"):
        assert hidden(f"HTTP_PROXY={proxy}", {"HTTP_PROXY": proxy}) == f"HTTP_PROXY={proxy}"


def test_a_token_for_a_name_is_known_too() -> None:
    environment = {"PIP_INDEX_URL": "https://ghp_0123456789abcdef:x-oauth-basic@index.test/simple"}
    assert hidden("it said ghp_0123456789abcdef", environment) == "it said ***"


def test_a_part_of_an_indexs_path_may_be_a_token() -> None:
    environment = {"PIP_EXTRA_INDEX_URL": "https://a.test/api/x9y8z7/simple\nhttps://b.test/TOKEN/simple/"}
    text = "Retrying: /TOKEN/simple/numpy/; Link https://a.test/api/x9y8z7/simple/n.whl; /TOKENS and /simple"
    shown = "Retrying: /***/simple/numpy/; Link https://a.test/api/***/simple/n.whl; /TOKENS and /simple"
    assert hidden(text, environment) == shown


def test_a_short_part_of_a_path_is_no_token() -> None:
    assert hidden("words of /ab and /abc", {"PIP_INDEX_URL": "https://index.test/ab/simple"}) == "words of /ab and /abc"


def test_short_passwords_do_not_take_other_words_along() -> None:
    environment = {"HTTP_PROXY": "http://me:numb@proxy.test:1", "HTTPS_PROXY": "http://me:a@proxy.test:1"}
    assert hidden("numbers of numpy: numb", environment) == "numbers of numpy: ***"


def test_secrets_of_dockers_and_pips_configuration_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = base64.b64encode(b"me:hunter22").decode()
    config = {
        "auths": {"r.test": {"auth": auth}, "s.test": {"identitytoken": "t0k3nt0k3n"}, "broken": 5},
        "proxies": {"tcp://there:1": {"httpsProxy": "http://u:of-docker@p:1"}},
        "HttpHeaders": {"X-Own": "headerword"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://u:of-pip@index.test/simple\n")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    text = f"hunter22 {auth} t0k3nt0k3n of-docker headerword of-pip"
    assert hidden(text) == " ".join(["***"] * 6)
    (tmp_path / "config.json").write_text("[]")
    os.utime(tmp_path / "config.json", ns=(1, 1))
    assert hidden("hunter22 of-pip") == "hunter22 ***"


@pytest.mark.parametrize("piece", ["a", "=a:", "@a", "?auth", "http://", "=//", 'a:"'])
def test_a_long_text_takes_no_long_time(piece: str) -> None:
    start = time.process_time()
    hidden(f"{piece * (400_000 // len(piece))}@host", {"HTTP_PROXY": "http://user:secret@h:1"})
    assert time.process_time() - start < 5
