"""The host's own settings reach the steps of a build, and nothing of them stays in the image."""

import gzip
import io
import json
import os
import tarfile
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.images.building.builder import BuildEvent, BuildEventKind, BuildRequest
from mlperf_docker.images.building.builders import builder_of
from mlperf_docker.images.known_bases import Base
from mlperf_docker.recipe import render
from mlperf_docker.recipe.build_inputs import BuildInputs, Layer
from mlperf_docker.recipe.host_settings import HostSettings
from mlperf_docker.recipe.requirements import Pin
from tests.fixtures import tiny_image
from tests.fixtures.docker_client import api

pytestmark = pytest.mark.engine
LOOK = (
    "RUN --mount=type=bind,source=layers/common,target=/run/layer "
    "cat /run/layer/pip.conf /run/layer/ca.crt && ls /run/layer/wheels && echo proxies $HTTPS_PROXY $https_proxy"
)
COMMON = Layer("common", (Pin("numpy", "2.0", "", ("sha256:0",), frozenset()),))
_CHUNK = 2**20


@pytest.fixture
def marks() -> dict[str, str]:
    """A word of its own for each way in."""
    return {way: f"{way}{uuid.uuid4().hex}" for way in ("ca", "index", "password", "proxy", "wheel", "noproxy")}


@pytest.fixture
def host(marks: dict[str, str], tmp_path: Path) -> HostSettings:
    """A host with every setting that a build takes over."""
    bundle, wheels = tmp_path / "ca.pem", tmp_path / "wheels"
    bundle.write_text(f"# {marks['ca']}\n")
    wheels.mkdir()
    (wheels / f"numpy-2.0-py3-none-{marks['wheel']}.whl").touch()
    (wheels / f"scipy-2.0-py3-none-{marks['wheel']}.whl").touch()
    return HostSettings.from_environ(
        {
            "PIP_INDEX_URL": f"https://user:{marks['password']}@{marks['index']}.invalid/simple",
            "PIP_CERT": str(bundle),
            "PIP_FIND_LINKS": str(wheels),
            "HTTPS_PROXY": f"http://{marks['proxy']}.invalid:3128",
            "NO_PROXY": f"{marks['noproxy']}.invalid",
        }
    )


@pytest.fixture
def names(engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A base of a few programs, and a tag; both are gone afterwards, as the logs are."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    name = f"mlperf-test-{uuid.uuid4().hex[:8]}"
    api(engine).import_image_from_data(tiny_image.archive(), repository=name, tag="base")
    yield f"{name}:base", f"{name}:built"
    for image in api(engine).images(name):
        api(engine).remove_image(image["Id"], force=True)


def test_the_steps_see_the_hosts_settings_and_the_image_does_not(
    engine: DockerEngine, names: tuple[str, str], host: HostSettings, marks: dict[str, str]
) -> None:
    base, tag = names
    heard = _build(engine, base, tag, LOOK, host)
    said = "\n".join(heard)
    assert marks["ca"] in said
    assert f"//***@{marks['index']}.invalid/simple" in said, "the index is there, and its password not in what we show"
    assert f"numpy-2.0-py3-none-{marks['wheel']}.whl" in heard
    assert "scipy" not in said, "a wheel that the image does not ask for stays at home"
    assert f"proxies http://{marks['proxy']}.invalid:3128 http://{marks['proxy']}.invalid:3128" in said
    assert found_in(engine, tag, marks) == set()


def test_the_search_finds_what_a_careless_dockerfile_keeps(
    engine: DockerEngine, names: tuple[str, str], host: HostSettings, marks: dict[str, str]
) -> None:
    base, tag = names
    _build(
        engine,
        base,
        tag,
        'COPY layers /layers\nARG NO_PROXY\nENV LEAK="$NO_PROXY"\nRUN echo ${HTTPS_PROXY} > /leak',
        host,
    )
    assert found_in(engine, tag, marks) == set(marks)


def test_the_whole_image_keeps_nothing(
    engine: DockerEngine,
    base_image: Base,
    resnet50: ImageSpec,
    names: tuple[str, str],
    marks: dict[str, str],
    tmp_path: Path,
) -> None:
    """The image as it is built for use: with this host's own settings, and marks among them that disturb nothing."""
    bundle = next((os.environ[name] for name in ("PIP_CERT", "SSL_CERT_FILE") if name in os.environ), "")
    marked = tmp_path / "marked.pem"
    marked.write_text((Path(bundle).read_text() if bundle else _system_bundle()) + f"\n# {marks['ca']}\n")
    environment = {
        **os.environ,
        "PIP_CERT": str(marked),
        "PIP_TRUSTED_HOST": f"{marks['index']}.invalid",
        "FTP_PROXY": f"http://user:{marks['password']}@{marks['proxy']}.invalid",
        "NO_PROXY": ",".join(filter(None, (os.environ.get("NO_PROXY"), f"{marks['noproxy']}.invalid"))),
    }
    request = BuildRequest(
        inputs=render.recipe_of(resnet50).inputs,
        base_reference=base_image.reference,
        tags=(names[1],),
        labels={},
        host=HostSettings.from_environ(environment),
    )
    builder_of(engine).build(request, on_event=lambda _: None)
    assert found_in(engine, names[1], marks) == set()


def _build(engine: DockerEngine, base: str, tag: str, steps: str, host: HostSettings) -> list[str]:
    """Build *steps* and return the lines that they print."""
    events: list[BuildEvent] = []
    inputs = BuildInputs(f"ARG BASE\nFROM ${{BASE}}\n{steps}\n", (), (COMMON,))
    builder_of(engine).build(BuildRequest(inputs, base, (tag,), {}, host), on_event=events.append)
    return [event.text for event in events if event.kind is BuildEventKind.LOG]


def _system_bundle() -> str:
    import certifi

    return Path(certifi.where()).read_text()


def found_in(engine: DockerEngine, tag: str, marks: dict[str, str]) -> set[str]:
    """Return the ways whose marks are anywhere in the exported image: files, their names, config, history."""
    described = json.dumps([engine.find_image(tag), _history(engine, tag)]).encode()
    found = {way for way, mark in marks.items() if mark.encode() in described}
    with tempfile.TemporaryFile() as export:
        for chunk in api(engine).get_image(tag):
            export.write(chunk)
        export.seek(0)
        with tarfile.open(fileobj=export) as tar:
            for entry in tar:
                data = tar.extractfile(entry)
                if data is not None:
                    found |= _search(_unpacked(data), marks)
    return found


def _history(engine: DockerEngine, tag: str) -> object:
    return api(engine).history(tag)  # type: ignore[no-untyped-call]  # docker-py's stubs leave it so


def _unpacked(data: IO[bytes]) -> IO[bytes]:
    """Return a layer as the tar that it is; engines with containerd's store export it compressed."""
    magic = data.read(2)
    data.seek(0)
    return io.BufferedReader(gzip.GzipFile(fileobj=data)) if magic == b"\x1f\x8b" else data


def _search(data: IO[bytes], marks: dict[str, str]) -> set[str]:
    """Look for the marks in a stream, also where one lies across two chunks."""
    found: set[str] = set()
    rest = b""
    while chunk := data.read(_CHUNK):
        window = rest + chunk
        found |= {way for way, mark in marks.items() if mark.encode() in window}
        rest = window[-64:]
    return found
