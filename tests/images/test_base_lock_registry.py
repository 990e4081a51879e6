"""`lock --bases` against a registry that answers over HTTP: with the real engine as a command, and without one."""

import datetime as dt
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import BaseImage
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.errors import RegistryError
from mlperf_docker.images import base_lock
from mlperf_docker.registry import refusals
from mlperf_docker.registry.client import RegistryClient
from mlperf_docker.system.paths import assets
from tests.fakes.registry import OURS, digest, image, index, serving, store

TEXT = (assets() / "images.yaml").read_text()
DAY = dt.date(2026, 3, 1)
OFFERED = index(amd64=image("amd64"), arm64=image("arm64"))


def bases(path: Path) -> dict[str, BaseImage]:
    """Return the bases of the catalog at *path* by their names."""
    return {spec.base.name: spec.base for spec in Catalog.load(path).specs}


def on(host: str) -> str:
    """Return images.yaml with every base in a repository of its own at *host*."""
    text = TEXT
    for name, base in bases(assets() / "images.yaml").items():
        text = text.replace(f"reference: {base.reference}\n", f"reference: {host}/{name}:1\n")
    return text


def locked(copy: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command of a copy of the sources."""
    argv = [sys.executable, "-m", "mlperf_docker.cli.entry", "lock", *options]
    environment = {**os.environ, "PYTHONPATH": str(copy), **variables}
    return subprocess.run(argv, env=environment, cwd=copy, capture_output=True, text=True, check=False, timeout=60)


def test_the_digest_of_a_base_is_that_of_its_index_whatever_the_platform(tmp_path: Path) -> None:
    path = tmp_path / "images.yaml"
    for platform in (OURS, "linux/arm64", "linux/riscv64"):
        with serving() as served:
            served.answer = store({**image("amd64"), **image("arm64")}, OFFERED)
            path.write_text(on(served.host))
            done = base_lock.refresh(path, RegistryClient({}, platform).describe, DAY)
        assert done.failures == []
        assert {base.digest for base in bases(path).values()} == {digest(OFFERED)}
        assert {base.recorded for base in bases(path).values()} == {DAY}


def test_a_registry_that_is_gone_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "WAITS_S", (0.0, 0.0))
    with serving() as gone:
        pass
    path, said = tmp_path / "images.yaml", list[str]()
    path.write_text(on(gone.host))
    done = base_lock.refresh(path, RegistryClient({}, OURS, said.append).describe, DAY)
    assert len(said) == 2, "of the first base only"
    assert [str(each) for each in done.failures] == [
        f"{base.reference}: connection refused" for base in bases(path).values()
    ]
    done.raise_failure(needed=False)
    with pytest.raises(RegistryError, match="connection refused"):
        done.raise_failure(needed=True)


@pytest.mark.engine
def test_the_command_writes_what_a_registry_has_into_images_yaml(engine: DockerEngine, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for part in ("mlperf_docker", "locks", "templates"):
        shutil.copytree(assets() / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    path = copy / "images.yaml"
    with serving() as served:
        served.answer = store({**image("amd64"), **image("arm64")}, OFFERED)
        path.write_text(on(served.host))
        done = locked(copy, "--bases")
        assert done.returncode == 0, done.stderr
        assert f"debian: {served.host}/debian:1 was" in done.stdout
        assert "mlperf-docker render" in done.stderr
        assert engine.find_image(f"{served.host}/debian:1") is None
    written = path.read_text()
    assert {base.digest for base in bases(path).values()} == {digest(OFFERED)}
    assert all(base.recorded for base in bases(path).values())
    done = locked(copy, "--bases")
    assert (done.returncode, path.read_text()) == (ExitCode.REGISTRY, written)
    assert "connection refused" in done.stderr
    nowhere = locked(copy, "--bases", DOCKER_HOST="unix:///nowhere.sock")
    assert (nowhere.returncode, path.read_text()) == (ExitCode.ENGINE, written)
