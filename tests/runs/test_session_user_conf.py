"""`run --user-conf`: a small regular file, which the container sees read-only."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Mode, Precision, Scenario, SyntheticSize
from mlperf_docker.engine.plan import Limits
from mlperf_docker.errors import UsageError
from mlperf_docker.images.sources import Sources
from mlperf_docker.runs.request import RunRequest
from mlperf_docker.runs.session import dry_run
from tests.fixtures.odd_files import ODD_FILES


@pytest.fixture
def request_(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, resnet50: ImageSpec) -> RunRequest:
    for kind in ("CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    options = RunOptions(
        scenario=Scenario.OFFLINE, mode=Mode.PERFORMANCE, precision=Precision.FP32, synthetic=SyntheticSize.TINY
    )
    return RunRequest(resnet50, options, Limits(), Sources("mlperf-docker"))


@pytest.mark.parametrize("linked", [False, True])
def test_the_file_is_mounted_read_only(request_: RunRequest, tmp_path: Path, linked: bool) -> None:
    path = tmp_path / "my.conf"
    path.write_text("*.Offline.target_qps = 5\n")
    given = tmp_path / "link.conf" if linked else path
    if linked:
        given.symlink_to(path)
    command = dry_run(replace(request_, user_conf=given), lambda _: None)
    assert f"--mount=type=bind,src={path},dst=/user.conf,readonly" in command
    assert "--user-conf=/user.conf" in command
    assert "user.conf" not in dry_run(request_, lambda _: None)


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "endless", "large", "link to nowhere"])
def test_a_user_conf_that_is_no_small_file_is_refused(request_: RunRequest, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "my.conf"
    ODD_FILES[kind](path)
    with pytest.raises(UsageError, match=r"--user-conf .*my.conf cannot be read: "):
        dry_run(replace(request_, user_conf=path), lambda _: None)
