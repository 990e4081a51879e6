"""What a registry tells of a name: the fake client's answers one by one, and a registry that the real engine asks."""

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any, cast

import pytest
from docker.errors import APIError
from requests.exceptions import ReadTimeout

from mlperf_docker.catalog import Catalog
from mlperf_docker.engine.client import Engine
from mlperf_docker.engine.distribution import RegistryDigests, RegistryDownError
from mlperf_docker.errors import ExitCode, RegistryError
from mlperf_docker.paths import assets
from tests.engine.registry import registry

DIGEST = f"sha256:{'1' * 64}"


class FakeEngine:
    """Answers to inspect_distribution, which it counts."""

    def __init__(self, answer: Exception | dict[str, Any]) -> None:
        self.answer, self.asked = answer, 0

    def inspect_distribution(self, _: str) -> dict[str, Any]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def engine(self) -> Engine:
        return cast("Engine", self)


def test_the_digest_is_that_of_the_name() -> None:
    fake = FakeEngine({"Descriptor": {"digest": DIGEST}, "Platforms": []})
    assert RegistryDigests(fake.engine).digest_of("debian:bookworm-slim") == DIGEST


@pytest.mark.parametrize(
    "answer",
    [
        APIError('Get "https://host/v2/": dial tcp: lookup host on 1.1.1.1:53: no such host'),
        APIError('Get "https://host/v2/": net/http: TLS handshake timeout'),
        APIError("received unexpected HTTP status: 503 Service Unavailable"),
        ReadTimeout("Read timed out."),
    ],
)
def test_a_registry_that_does_not_answer_is_waited_for_once(answer: Exception) -> None:
    fake = FakeEngine(answer)
    registries = RegistryDigests(fake.engine)
    for reference in ("debian:bookworm-slim", "nvidia/cuda:13.0.3-base-ubuntu24.04"):
        with pytest.raises(RegistryDownError):
            registries.digest_of(reference)
    assert fake.asked == 1
    with pytest.raises(RegistryDownError):
        registries.digest_of("elsewhere.test/debian:bookworm-slim")
    assert fake.asked == 2


@pytest.mark.parametrize("words", ["manifest unknown", 'Head "http://host/v2/x": no basic auth credentials', "denied"])
def test_what_a_registry_has_settled_is_another_error(words: str) -> None:
    fake = FakeEngine(APIError(words))
    registries = RegistryDigests(fake.engine)
    for _ in range(2):
        with pytest.raises(RegistryError, match=words) as caught:
            registries.digest_of("host.test/x:1")
        assert not isinstance(caught.value, RegistryDownError)
    assert fake.asked == 2


def locked(copy: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command of a copy of the sources."""
    argv = [sys.executable, "-m", "mlperf_docker.cli.app", "lock", *options]
    environment = {**os.environ, "PYTHONPATH": str(copy), **variables}
    return subprocess.run(argv, env=environment, cwd=copy, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.engine
def test_the_command_writes_what_a_registry_has_into_images_yaml(engine: Engine, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for part in ("mlperf_docker", "locks", "templates"):
        shutil.copytree(assets() / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    path = copy / "images.yaml"
    with registry(f"mlperf-test-{uuid.uuid4().hex[:8]}", b"a base\n") as served:
        text = (assets() / "images.yaml").read_text()
        for reference in {spec.base.reference for spec in Catalog.load(assets() / "images.yaml").specs}:
            text = text.replace(f"reference: {reference}\n", f"reference: {served.reference}\n")
        path.write_text(text)
        done = locked(copy, "--bases")
        assert done.returncode == 0, done.stderr
        assert f"debian: {served.reference} was" in done.stdout
        assert "mlperf-docker render" in done.stderr
    written = path.read_text()
    (digest,) = {spec.base.digest for spec in Catalog.load(path).specs}
    assert digest == served.digest
    assert all(spec.base.recorded for spec in Catalog.load(path).specs)
    done = locked(copy, "--bases")
    assert (done.returncode, path.read_text()) == (ExitCode.REGISTRY, written)
    assert "connection refused" in done.stderr
    nowhere = locked(copy, "--bases", DOCKER_HOST="unix:///nowhere.sock")
    assert (nowhere.returncode, path.read_text()) == (ExitCode.ENGINE, written)


@pytest.mark.engine
def test_a_real_engine_asks_a_registry_and_pulls_nothing(engine: Engine) -> None:
    with registry(f"mlperf-test-{uuid.uuid4().hex[:8]}", b"from the registry\n") as served:
        registries = RegistryDigests(engine)
        assert registries.digest_of(served.reference) == served.digest
        assert engine.find_image(served.reference) is None
    with pytest.raises(RegistryDownError, match="connection refused"):
        registries.digest_of(served.reference)
