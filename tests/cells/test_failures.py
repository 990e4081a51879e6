"""Failures of whole commands: one clear error, the documented exit code, nothing left behind."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.images.known_bases import Base
from tests.cells.imagenet import lay_out_noise
from tests.cells.tool import PERFORMED, REGISTRY, Tool, containers, images_named, interrupt, wait_for
from tests.fixtures.docker_client import api

pytestmark = pytest.mark.engine
TINY = ("run", "resnet50", "--synthetic", "tiny")
LONG = ("--scenario", "Offline", "--min-duration", "60", "--target-qps", "100")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "resnet5", "--synthetic", "tiny"), "Did you mean resnet50?"),
        (("run", "resnet50", "-b", "onnx", "--synthetic", "tiny"), "Did you mean onnxruntime?"),
        (("run", "resnet50", "-d", "cudda", "--synthetic", "tiny"), "Did you mean cuda?"),
        ((*TINY, "--scenario", "ofline"), "Did you mean Offline?"),
        ((*TINY, "--mode", "acuracy"), "Did you mean accuracy?"),
        ((*TINY, "--precision", "int8"), "Known: fp32"),
        ((*TINY, "--memory", "lots"), "is not a size"),
        ((*TINY, "--gpus", "some"), "--gpus"),
        ((*TINY, "--dataset", "/tmp"), "exclude each other"),
        ((*TINY, "--require-dataset"), "exclude each other"),
    ],
)
def test_wrong_usage_ends_with_2_and_prints_nothing_on_stdout(
    tool: Tool, arguments: tuple[str, ...], said: str
) -> None:
    done = tool(*arguments, expect=2)
    assert said in done.stderr
    assert done.stdout == ""


def test_an_engine_that_is_not_there_ends_with_3(tool: Tool) -> None:
    done = tool(*TINY, expect=3, DOCKER_HOST="unix:///nowhere/docker.sock")
    assert "/nowhere/docker.sock" in done.stderr


def test_a_base_that_cannot_be_had_ends_with_4(tool: Tool) -> None:
    done = tool("build", "resnet50", "--base", "no-such-base:1", expect=4)
    assert "no-such-base:1" in done.stderr


@pytest.mark.parametrize("command", ["run", "dry-run"])
def test_cuda_without_a_gpu_is_said_before_anything_is_built(tool: Tool, client: DockerEngine, command: str) -> None:
    if "nvidia" in client.info()["Runtimes"]:
        pytest.skip("this engine has a GPU runtime")
    before = images_named(client, REGISTRY)
    start = time.monotonic()
    done = tool(*TINY, "--device", "cuda", expect=8)
    assert time.monotonic() - start < 5
    assert "GPU" in done.stderr
    assert images_named(client, REGISTRY) == before


def test_no_registry_to_pull_from(tool: Tool, image: str) -> None:
    assert "names no host" in tool(*TINY, "--pull", "always", expect=10).stderr
    refused = tool(*TINY, "--pull", "always", "--registry", "localhost:9/none", expect=10)
    assert "cannot be looked up" in refused.stderr


def test_a_wrong_data_set_folder_ends_with_6(tool: Tool, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    unmarked = tmp_path / "unmarked"
    unmarked.mkdir()
    (unmarked / "image.jpg").touch()
    for folder, said in ((tmp_path / "none", "no such folder"), (empty, "is empty"), (unmarked, "val_map.txt")):
        done = tool("run", "resnet50", "--dataset", str(folder), "--model-file", "/dev/null", expect=6)
        assert said in done.stderr
        assert str(folder) in done.stderr


def test_a_model_file_that_is_missing_or_wrong_ends_with_7(tool: Tool, tmp_path: Path) -> None:
    data = lay_out_noise(tmp_path / "data", count=1)
    run = ("run", "resnet50", "--dataset", str(data))
    assert "resnet50_v1.onnx" in tool(*run, expect=7).stderr
    models = tool.home / "cache/mlperf-docker/models/resnet50"
    models.mkdir(parents=True, exist_ok=True)
    (models / "resnet50_v1.onnx").write_bytes(b"half a file")
    wrong = tool(*run, expect=7).stderr
    (models / "resnet50_v1.onnx").unlink()
    assert "11 bytes" in wrong
    assert "has md5" in wrong
    assert "there is no model file" in tool(*run, "--model-file", str(tmp_path / "no"), expect=7).stderr.lower()


def test_a_file_that_is_no_model(tool: Tool, image: str, tmp_path: Path, results: Path) -> None:
    data = lay_out_noise(tmp_path / "data", count=1)
    (tmp_path / "model.onnx").write_bytes(b"this is not a graph" * 100)
    options = ("--dataset", str(data), "--model-file", str(tmp_path / "model.onnx"), "--results", str(results))
    done = tool("run", "resnet50", *options, expect=7)
    assert "model.onnx" in done.stderr


def test_bad_images_are_counted_and_named(tool: Tool, image: str, tmp_path: Path, results: Path) -> None:
    data = lay_out_noise(tmp_path / "data", count=14)
    names = sorted(path.name for path in data.glob("*.JPEG"))
    (data / names[0]).unlink()
    (data / names[1]).write_bytes((data / names[1]).read_bytes()[:-400])
    for name in names[2:13]:
        (data / name).write_bytes(b"GIF89a, perhaps")
    (tmp_path / "model.onnx").write_bytes(b"never reached")
    options = ("--dataset", str(data), "--model-file", str(tmp_path / "model.onnx"), "--results", str(results))
    done = tool("run", "resnet50", *options, expect=6)
    assert "13" in done.stderr
    assert all(name in done.stderr for name in names[:10])
    assert not any(name in done.stderr for name in names[10:])


@pytest.mark.parametrize(
    ("line", "said"),
    [("only-a-name", "line 2"), ("image.JPEG 1000", "line 2: label 100"), ("image.JPEG dog", "line 2")],
)
def test_a_wrong_line_of_val_map_ends_with_6(
    tool: Tool, image: str, tmp_path: Path, results: Path, line: str, said: str
) -> None:
    data = lay_out_noise(tmp_path / "data", count=1)
    with (data / "val_map.txt").open("a") as val_map:
        val_map.write(f"{line}\n")
    (tmp_path / "model.onnx").write_bytes(b"never reached")
    options = ("--dataset", str(data), "--model-file", str(tmp_path / "model.onnx"), "--results", str(results))
    assert said in tool("run", "resnet50", *options, expect=6).stderr


def test_a_results_folder_that_cannot_be_used_ends_with_2(tool: Tool, image: str, tmp_path: Path) -> None:
    assert "does not exist" in tool(*TINY, "--results", str(tmp_path / "no"), expect=2).stderr
    assert not (tmp_path / "no").exists()
    assert "not writable" in tool(*TINY, "--results", "/proc/sys", expect=2).stderr


def test_a_second_run_in_the_same_results_folder(tool: Tool, image: str, results: Path, client: DockerEngine) -> None:
    first = tool.start(*TINY, *LONG, "--results", str(results))
    wait_for(lambda: containers(client))
    assert "in use by another run" in tool(*TINY, "--results", str(results), expect=2).stderr
    interrupt(first)


def test_out_of_memory_says_so_and_the_limit(tool: Tool, image: str, results: Path) -> None:
    done = tool(*TINY, "--memory", "48m", "--results", str(results), expect=9)
    assert "OOM" in done.stderr
    assert "48m" in done.stderr


def test_a_container_that_is_killed_ends_with_9(tool: Tool, image: str, results: Path, client: DockerEngine) -> None:
    running = tool.start(*TINY, *LONG, "--results", str(results))
    (container,) = wait_for(lambda: containers(client))
    wait_for(lambda: list(results.glob("*/mlperf_log_detail.txt")))
    api(client).kill(container)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 9
    assert "killed from outside (signal 9)" in err
    assert str(results) in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_interrupting_a_run(
    tool: Tool, image: str, results: Path, client: DockerEngine, number: signal.Signals
) -> None:
    running = tool.start(*TINY, *LONG, "--results", str(results))
    wait_for(lambda: list(results.glob("*/mlperf_log_detail.txt")))
    start = time.monotonic()
    _, err = interrupt(running, number)
    assert running.returncode == 130, err
    assert time.monotonic() - start < 12
    assert "Traceback" not in err
    assert not containers(client)
    (folder,) = results.glob("[0-9]*-*")
    assert (folder / "harness.log").stat().st_size > 0, "the logs stay"


def test_signals_one_after_another(tool: Tool, image: str, results: Path, client: DockerEngine) -> None:
    running = tool.start(*TINY, *LONG, "--results", str(results))
    wait_for(lambda: list(results.glob("*/mlperf_log_detail.txt")))
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        os.killpg(running.pid, number)
        time.sleep(0.05)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "Error: Interrupted." in err
    assert not containers(client)


def test_a_run_that_ignores_a_terminals_end_goes_on(tool: Tool, image: str, results: Path) -> None:
    """As `nohup` starts it."""
    shell = replace(tool, prefix=("sh", "-c", 'trap "" HUP; exec "$@"', "sh"))
    running = shell.start(*TINY, "--min-duration", "2", "--results", str(results))
    wait_for(lambda: list(results.glob("*/mlperf_log_detail.txt")))
    _, err = interrupt(running, signal.SIGHUP)
    assert running.returncode in PERFORMED, err


def test_interrupting_preprocessing_and_going_on(tool: Tool, image: str, tmp_path: Path) -> None:
    data = lay_out_noise(tmp_path / "data", count=400, side=1500)
    command = ("data", "preprocess", "resnet50", "--dataset", str(data))
    logs = tool.home / "state/mlperf-docker/logs"
    running = tool.start(*command)
    wait_for(lambda: any('"preprocess", "done"' in log.read_text() for log in logs.glob("preprocess-*.log")))
    _, err = interrupt(running)
    assert running.returncode == 130, err
    assert tool.json(*command)["samples"] == 400


def test_the_container_of_a_killed_tool_ends_by_itself(
    tool: Tool, image: str, results: Path, client: DockerEngine
) -> None:
    running = tool.start(*TINY, *LONG, "--results", str(results))
    wait_for(lambda: list(results.glob("*/mlperf_log_detail.txt")))
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    wait_for(lambda: not containers(client), seconds=10)


def test_a_killed_tool_and_the_same_command_again(tool: Tool, image: str, results: Path, client: DockerEngine) -> None:
    running = tool.start(*TINY, *LONG, "--results", str(results))
    wait_for(lambda: containers(client))
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    done = tool(*TINY, "--min-duration", "1", "--results", str(results), expect=PERFORMED)
    assert "VALID" in done.stdout
    assert not containers(client)


def test_interrupting_a_build(tool: Tool, client: DockerEngine, tmp_path: Path, base_image: Base) -> None:
    registry = f"{tool.environment['MLPERF_DOCKER_REGISTRY']}/interrupted"
    building = tool.start("build", "resnet50", "--no-cache", "--bootstrap-base", "--registry", registry)
    logs = tool.home / "state/mlperf-docker/logs"
    seen = set(logs.glob("*"))
    wait_for(lambda: [log for log in set(logs.glob("*")) - seen if "apt-get" in log.read_text()])
    _, err = interrupt(building)
    assert building.returncode == 130, err
    tags = [tag for each in api(client).images() for tag in each["RepoTags"] or () if tag.startswith(registry)]
    assert tags == []


def test_a_failing_step_ends_with_the_log(tool: Tool, base_image: Base) -> None:
    done = tool(
        "build", "resnet50", "--no-cache", "--bootstrap-base", expect=5, PIP_INDEX_URL="http://127.0.0.1:9/simple"
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Log: ")
    assert "NewConnectionError" in Path(last.removeprefix("Log: ").strip()).read_text(), "what pip said"
    assert "A package server could not be reached" in done.stderr
