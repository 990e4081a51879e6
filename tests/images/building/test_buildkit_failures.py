"""Errors of failed builds: the step, its last lines, the likely cause, the remedy, the log's path last."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine.engine import EngineGoneError, EngineRefusedError, Message
from mlperf_docker.errors import BuildError, EngineError, MlperfDockerError
from mlperf_docker.images.building.builder import BuildEvent, BuildRequest
from mlperf_docker.images.building.buildkit import BuildKitBuilder
from mlperf_docker.recipe.build_inputs import BuildInputs
from mlperf_docker.recipe.host_settings import HostSettings
from tests.fakes.engine import FakeEngine, trace

STEP = {"digest": "sha256:1", "name": "[backend 1/1] RUN pip install", "started": {"seconds": 1}}
OTHER = {"digest": "sha256:2", "name": "[tools 1/1] RUN apt-get", "started": {"seconds": 1}}
REQUEST = BuildRequest(
    inputs=BuildInputs("FROM x\n", ()),
    base_reference="base:1",
    tags=("mlperf-test/resnet50:onnxruntime-cpu-0123456789ab", "mlperf-test/resnet50:onnxruntime-cpu"),
    labels={"org.mlperf-docker": "image"},
    host=HostSettings(build_args=(("HTTP_PROXY", "http://proxy:3128"),)),
    base_identity="sha256:1",
)


@pytest.fixture(autouse=True)
def _own_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def failing(
    output: str, error: str = "executor failed running [/bin/sh -c pip install]: exit code: 1"
) -> list[Message]:
    """Return the messages of a build whose step prints *output* and fails with *error*."""
    ended = {**STEP, "completed": {"seconds": 2}, "error": error}
    return [
        trace(vertexes=[STEP, OTHER]),
        trace(logs=[{"vertex": "sha256:1", "stream": 2, "msg": f"{output}\n".encode()}]),
        trace(logs=[{"vertex": "sha256:2", "stream": 1, "msg": b"Reading package lists...\n"}]),
        trace(vertexes=[ended, {**OTHER, "completed": {"seconds": 2}, "error": "context canceled"}]),
        {"errorDetail": {"message": error}, "error": error},
    ]


def failure(*messages: Message | Exception, code: ExitCode = ExitCode.BUILD) -> MlperfDockerError:
    engine = FakeEngine()
    engine.messages = list(messages)
    with pytest.raises(MlperfDockerError) as caught:
        BuildKitBuilder(engine).build(REQUEST, on_event=lambda _event: None)
    assert caught.value.exit_code is code
    return caught.value


def log_of(error: MlperfDockerError) -> Path:
    """Return the path that the user reads last."""
    assert error.log is not None
    assert list(error.lines())[-1].endswith(str(error.log))
    return error.log


@pytest.mark.parametrize(
    ("output", "cause", "remedy"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full", "docker builder prune"),
        ("SSLError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed')", "certificate", "PIP_CERT"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "locked", "mlperf-docker lock"),
        ("Temporary failure resolving 'mirror.example'", "name resolution", "HTTPS_PROXY"),
        ("NewConnectionError: Failed to establish a new connection: refused", "not be reached", "PIP_INDEX_URL"),
        (
            "WARNING: Retrying (Retry(total=4)) after connection broken by 'ProxyError('Cannot connect to proxy.')'",
            "not be reached",
            "PIP_INDEX_URL",
        ),
        ("W: Failed to fetch http://deb.debian.org/x  Connection failed [IP: 192.0.2.1 80]", "not be reached", "PROXY"),
        ("E: Could not connect to deb.debian.org:80 (192.0.2.1).", "not be reached", "HTTPS_PROXY"),
        ("sqlite3.ProgrammingError: Cannot operate on a closed connection.", "", "The full log says more."),
        ("ERROR: No matching distribution found for numpy==2.4.6", "does not offer", "PIP_INDEX_URL"),
        ("make: *** [all] Error 1", "", "The full log says more."),
    ],
    ids=[
        *("disk", "certificate", "hash", "dns", "connection", "pip's proxy", "apt-get's download", "apt-get's server"),
        *("another connection", "version", "unknown"),
    ],
)
def test_the_likely_cause_and_what_helps(output: str, cause: str, remedy: str) -> None:
    error = failure(*failing(output))
    assert cause in str(error)
    assert remedy in (error.hint or "")
    assert output in log_of(error).read_text()


def test_the_step_and_only_its_own_last_lines_are_shown() -> None:
    error = failure(*failing("\n".join(f"line {number}." for number in range(50))))
    assert "'[backend 1/1] RUN pip install'" in str(error)
    assert "exit code: 1" in str(error)
    assert "  line 49." in str(error)
    assert "  line 30." in str(error)
    assert "line 29." not in str(error)
    assert "Reading package lists" not in str(error)
    log = log_of(error).read_text()
    assert "line 0." in log
    assert "Reading package lists" in log


def test_a_full_disk_of_the_engine_itself() -> None:
    error = failure(*failing("", error="write /var/lib/docker/x: no space left on device"))
    assert "The engine's disk is full." in str(error)


def test_an_engine_that_goes_away_is_not_taken_for_a_network_failure() -> None:
    error = failure(trace(vertexes=[STEP]), EngineGoneError("Connection broken: InvalidChunkLength", answering=True))
    assert "failed: the connection to the engine broke: Connection broken: InvalidChunkLength" in str(error)
    assert "The engine stopped" in str(error)
    assert "proxy" not in f"{error} {error.hint}".lower()


def test_an_engine_that_ends_without_a_word() -> None:
    assert "the engine ended without an image" in str(failure(trace(vertexes=[STEP])))


def test_the_engines_own_refusal_is_shown_in_clear() -> None:
    assert "failed: dockerfile parse error line 1" in str(failure(EngineRefusedError("dockerfile parse error line 1")))


def test_an_engine_that_is_gone_before_it_answers_is_no_failed_build() -> None:
    assert "went away: Connection refused" in str(failure(EngineGoneError("Connection refused"), code=ExitCode.ENGINE))


def test_no_password_of_an_address_is_shown_or_logged() -> None:
    address = "https://me:s3cret@index.test/simple"
    shown: list[BuildEvent] = []
    engine = FakeEngine()
    engine.messages = [*failing(f"Looking in indexes: {address}", error=f"cannot reach {address}")]
    with pytest.raises(BuildError) as caught:
        BuildKitBuilder(engine).build(REQUEST, on_event=shown.append)
    assert "https://***@index.test/simple" in str(caught.value)
    for text in (str(caught.value), log_of(caught.value).read_text(), repr(shown)):
        assert "s3cret" not in text


def test_a_build_asks_for_its_tags_labels_and_arguments() -> None:
    engine = FakeEngine()
    engine.messages = [{"id": "moby.image.id", "aux": {"ID": "sha256:9"}}]
    assert BuildKitBuilder(engine).build(REQUEST, on_event=lambda _event: None) == "sha256:9"
    expected: dict[str, Any] = {
        "version": "2",
        "t": list(REQUEST.tags),
        "buildargs": '{"BASE": "base:1", "BASE_IDENTITY": "sha256:1", "HTTP_PROXY": "http://proxy:3128"}',
        "labels": '{"org.mlperf-docker": "image"}',
    }
    assert engine.parameters == expected


def test_a_cache_of_the_registry_is_named_and_kept_up() -> None:
    engine = FakeEngine()
    engine.messages = [{"id": "moby.image.id", "aux": {"ID": "sha256:9"}}]
    asked = dataclasses.replace(REQUEST, cache_from="registry.test/team/x:moving")
    BuildKitBuilder(engine).build(asked, on_event=lambda _event: None)
    assert engine.parameters["cachefrom"] == '["registry.test/team/x:moving"]'
    assert '"BUILDKIT_INLINE_CACHE": "1"' in engine.parameters["buildargs"]


def test_an_engine_without_buildkit_is_refused_before_anything_is_sent() -> None:
    engine = FakeEngine()
    engine.about = {"Version": "4.3.1", "Os": "linux", "Components": [{"Name": "Podman Engine"}]}
    with pytest.raises(EngineError, match=r"4\.3\.1.*cannot build with BuildKit"):
        BuildKitBuilder(engine).build(REQUEST, on_event=lambda _event: None)
    assert not engine.parameters


def test_no_token_in_an_indexs_path_is_shown_or_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/TOKEN/simple")
    error = failure(*failing("WARNING: Retrying after connection broken: /TOKEN/simple/numpy/", "at /TOKEN/simple"))
    assert "/***/simple/numpy/" in str(error)
    assert "TOKEN" not in str(error) + log_of(error).read_text()


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            "This base has Python 3.10, and the locked packages are for 3.11, 3.12, 3.13.",
            "base:1 cannot be the base: This base has Python 3.10, and the locked packages are for 3.11, 3.12, 3.13.",
        ),
        ("/bin/sh: apt-get: not found", "none of Debian or Ubuntu"),
        ("/bin/sh: line 1: apt-get: command not found", "none of Debian or Ubuntu"),
        ('runc run failed: exec: "/bin/sh": stat /bin/sh: no such file or directory', "none of Debian or Ubuntu"),
    ],
)
def test_a_base_that_cannot_carry_an_image_is_the_bases_fault(output: str, said: str) -> None:
    error = failure(*failing(output), code=ExitCode.BASE_IMAGE)
    assert said in str(error)
    assert "--base" in (error.hint or "")
    assert output in log_of(error).read_text()


def test_a_step_that_only_has_the_words_in_its_command_is_another_fault() -> None:
    command = "process \"/bin/sh -c python3 -c 'This base has Python {python}, and the locked packages are for 3.11.'\""
    failure(*failing("Killed", f"{command} did not complete successfully: exit code: 137"))
