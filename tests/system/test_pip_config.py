"""pip's own configuration files count as its variables do, and a server on this host can be reached from a build."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.images.building.builder import BuildEvent, BuildEventKind, BuildRequest
from mlperf_docker.images.building.builders import builder_of
from mlperf_docker.images.known_bases import Base
from mlperf_docker.recipe.build_inputs import BuildInputs
from mlperf_docker.recipe.host_settings import HostSettings
from mlperf_docker.system.pip_config import pip_files
from tests.fixtures.engine import MARK


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose only pip files are those that a test writes below it."""
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".pip").mkdir()
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}


def write(home: dict[str, str], path: str, text: str) -> None:
    target = Path(home["HOME"]) / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def ours(home: dict[str, str], **variables: str) -> dict[str, str]:
    """Return what the files under *home* add to what this host's own files say."""
    before = pip_files({"HOME": "/nowhere", "XDG_CONFIG_DIRS": "/nowhere"})
    return {name: value for name, value in pip_files({**home, **variables}).items() if before.get(name) != value}


def test_every_place_counts_and_the_users_wins(home: dict[str, str]) -> None:
    write(home, "xdg/pip/pip.conf", "[global]\nindex-url = https://all.test/simple\ntrusted-host = all.test\n")
    write(home, ".pip/pip.conf", "[global]\nindex-url = https://old.test/simple\ntimeout = 99\n")
    write(home, ".config/pip/pip.conf", "[install]\nindex-url = https://user.test/%40simple\n")
    assert ours(home) == {
        "PIP_INDEX_URL": "https://user.test/%40simple",
        "PIP_TRUSTED_HOST": "all.test",
        "PIP_DEFAULT_TIMEOUT": "99",
    }


def test_a_file_that_is_named_wins_and_the_null_device_turns_all_off(home: dict[str, str]) -> None:
    write(home, ".config/pip/pip.conf", "[global]\nindex-url = https://user.test/simple\n")
    write(home, "mine.conf", "[global]\nindex-url = https://mine.test/simple\n")
    assert ours(home, PIP_CONFIG_FILE=f"{home['HOME']}/mine.conf") == {"PIP_INDEX_URL": "https://mine.test/simple"}
    assert pip_files({**home, "PIP_CONFIG_FILE": "/dev/null"}) == {}


def test_a_broken_file_is_left_to_pip(home: dict[str, str]) -> None:
    write(home, ".config/pip/pip.conf", "no section\n")
    write(home, ".pip/pip.conf", "[global]\nindex-url = https://old.test/simple\n")
    assert ours(home) == {"PIP_INDEX_URL": "https://old.test/simple"}


def test_a_variable_wins_over_the_files(home: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, ".config/pip/pip.conf", "[global]\nindex-url = https://user.test/simple\nno-index = 1\n")
    for name, value in {**home, "PIP_INDEX_URL": "https://variable.test/simple"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PIP_CONFIG_FILE", raising=False)
    settings = dict(HostSettings.from_environ().pip_settings)
    assert settings["index-url"] == "https://variable.test/simple"
    assert settings["no-index"] == "1"


def test_a_local_index_stays_out_because_no_build_can_see_it() -> None:
    settings = HostSettings.from_environ(
        {"PIP_INDEX_URL": "file:///srv/simple", "PIP_EXTRA_INDEX_URL": "file:///srv/more https://one.test/simple"}
    )
    assert dict(settings.pip_settings) == {"extra-index-url": "https://one.test/simple"}


@pytest.mark.parametrize(
    ("environment", "needed"),
    [
        ({}, False),
        ({"HTTPS_PROXY": "http://127.0.0.1:3128"}, True),
        ({"HTTPS_PROXY": "localhost:3128"}, True),
        ({"http_proxy": "http://user:word@[::1]:3128"}, True),
        ({"HTTPS_PROXY": "http://proxy.test:3128", "NO_PROXY": "localhost,127.0.0.1"}, False),
        ({"PIP_INDEX_URL": "https://one.test/simple", "PIP_EXTRA_INDEX_URL": "http://localhost:3141/simple"}, True),
        ({"PIP_FIND_LINKS": "http://127.0.0.1/wheels"}, True),
        ({"PIP_TRUSTED_HOST": "localhost.test"}, False),
        ({"HTTPS_PROXY": "http://[broken"}, False),
    ],
)
def test_settings_on_the_loopback_address_need_the_hosts_network(environment: dict[str, str], needed: bool) -> None:
    assert HostSettings.from_environ(environment).needs_host_network is needed


@contextmanager
def _server() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204, "Reached")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@pytest.mark.engine
@pytest.mark.parametrize("configured", [True, False])
def test_a_build_reaches_a_proxy_of_this_host(
    clean: DockerEngine, base_image: Base, logs: Path, configured: bool
) -> None:
    events: list[BuildEvent] = []
    with _server() as port:
        talk = f"exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && head -1 <&3"
        steps = f'ARG BASE\nFROM ${{BASE}}\nRUN bash -c "{talk}" || echo out of reach\n'
        proxies = {"HTTPS_PROXY": f"http://127.0.0.1:{port}"} if configured else {}
        host = HostSettings.from_environ(proxies)
        request = BuildRequest(BuildInputs(steps, ()), base_image.reference, (f"{MARK}/proxy:1",), {}, host)
        builder_of(clean).build(request, on_event=events.append)
    said = "\n".join(event.text for event in events if event.kind is BuildEventKind.LOG)
    assert ("Reached" in said) is configured
    assert ("out of reach" in said) is not configured
