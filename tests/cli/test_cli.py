"""The command line without an engine: what it lists, what it refuses, and how fast it starts to speak."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker import __version__
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.system.paths import assets
from tests.results.run_results import write_damaged, write_run

COMMAND = Path(sys.executable).with_name("mlperf-docker")
HEAVY = ("numpy", "torch", "tensorflow", "onnxruntime", "cv2", "mlperf_loadgen")


def tool(*arguments: str, expect: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command on a host without an engine; without other runtimes, too, if PATH is "/nowhere"."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "DOCKER_HOST": "unix:///nowhere.sock", **variables}
    done = subprocess.run(
        [str(COMMAND), *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == expect, done.stderr
    return done


def test_help_names_every_exit_code() -> None:
    epilog = " ".join(tool("--help").stdout.split()).partition("Exit codes: ")[2]
    assert [int(code) for code in re.findall(r"(?:^|, )(\d+) ", epilog)] == sorted(ExitCode)


def test_list_shows_all_cells_without_an_engine() -> None:
    catalog = Catalog.load(assets() / "images.yaml")
    cells = json.loads(tool("list", "--json").stdout)
    assert len(cells) == len(catalog.models) * len(catalog.backends) * len(catalog.devices)
    offered = [cell for cell in cells if cell["offered"]]
    assert {cell["state"] for cell in offered} == {"buildable"}
    for cell, spec in zip(offered, catalog.specs, strict=True):
        assert f"{cell['model']}:{cell['backend']}-{cell['device']}" == str(spec)
        assert cell["present"] is None
        assert cell["image"].startswith(f"mlperf-docker/{spec}-")
    assert sum(cell["default"] for cell in cells) == len(catalog.models) * len(catalog.devices)


def test_the_table_has_a_row_per_cell() -> None:
    assert len(tool("list").stdout.splitlines()) == 1 + len(Catalog.load(assets() / "images.yaml").cells)


def test_show_tells_the_cell_and_its_dockerfile() -> None:
    text = tool("show", "resnet50").stdout
    assert "f6a4da60cd5f084d97efc2c1ddb10beb" not in text
    assert "resnet50_v1.onnx" in text
    assert "75.6954" in text
    committed = (assets() / "dockerfiles/resnet50/onnxruntime-cpu.Dockerfile").read_text()
    assert tool("show", "resnet50", "--dockerfile").stdout == committed
    spec = json.loads(tool("show", "bert", "--json").stdout)
    assert spec["precisions"] == ["fp32", "int8"]


def test_an_unknown_option_is_a_usage_error() -> None:
    assert "No such option" in tool("run", "resnet50", "--sinthetic", "tiny", expect=ExitCode.USAGE).stderr


def test_doctor_without_an_engine_says_how_to_get_one(tmp_path: Path) -> None:
    checks = json.loads(tool("doctor", "--json", expect=ExitCode.ENGINE, PATH="/nowhere", HOME=str(tmp_path)).stdout)
    engine = next(check for check in checks if check["name"] == "engine")
    assert engine["level"] == "fail"
    assert "/nowhere.sock" in engine["finding"]
    assert engine["remedy"]
    assert {"memory", "network", "cache disk"} <= {check["name"] for check in checks}


def test_no_password_is_printed(tmp_path: Path) -> None:
    secret = {"PIP_INDEX_URL": "https://me:hunter2@mirror.example/simple"}
    done = tool("doctor", expect=ExitCode.ENGINE, PATH="/nowhere", HOME=str(tmp_path), **secret)
    assert "mirror.example" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


def test_a_registry_or_base_that_cannot_be_is_refused_before_anything_is_done() -> None:
    variable = {"MLPERF_DOCKER_REGISTRY": "https://me:hunter2@Registry.example/team/"}
    for command in (("list",), ("pull", "bert"), ("run", "bert", "--synthetic", "tiny"), ("build", "bert", "--push")):
        done = tool(*command, expect=ExitCode.USAGE, **variable)
        assert "Write registry.example/team" in done.stderr
        assert "hunter2" not in done.stderr
    assert "no name of an image" in tool("build", "bert", "--base", "Debian:x", expect=ExitCode.USAGE).stderr


@pytest.mark.parametrize("debug", [(), ("--debug",)])
@pytest.mark.parametrize("words", [("doctor",), ("run", "resnet50", "--synthetic", "tiny"), ("build", "resnet50")])
def test_no_login_of_the_engines_address_is_printed(
    tmp_path: Path, debug: tuple[str, ...], words: tuple[str, ...]
) -> None:
    code = ExitCode.INVALID if debug and words != ("doctor",) else ExitCode.ENGINE  # Python's own after a traceback
    bare = {"HOME": str(tmp_path), "PATH": "/nowhere"}
    done = tool(*debug, *words, expect=code, **bare, DOCKER_HOST="tcp://me:hunter2@127.0.0.1:9")
    assert "hunter2" not in done.stdout + done.stderr
    assert "***@127.0.0.1:9" in done.stdout + done.stderr


def test_push_and_pull_name_cells_as_build_does() -> None:
    for command in ("push", "pull"):
        assert "Did you mean resnet50?" in tool(command, "resnet5", expect=ExitCode.USAGE).stderr
        assert "/nowhere.sock" in tool(command, "--all", expect=ExitCode.ENGINE).stderr
    assert "at once" in tool("pull", "--all", "--digest", f"sha256:{'0' * 64}", expect=ExitCode.USAGE).stderr
    assert "sha256:" in tool("pull", "bert", "--digest", "latest", expect=ExitCode.USAGE).stderr


def test_only_a_list_of_what_is_remote_needs_an_engine() -> None:
    assert {cell["pullable"] for cell in json.loads(tool("list", "--json").stdout)} == {None}
    assert "/nowhere.sock" in tool("list", "--remote", expect=ExitCode.ENGINE).stderr


def test_a_traceback_only_with_debug() -> None:
    run = ("run", "resnet50", "--synthetic", "tiny")
    assert "Traceback" not in tool(*run, expect=ExitCode.ENGINE).stderr
    assert "Traceback" in tool("--debug", *run, expect=1).stderr


def test_a_folder_without_results_is_an_empty_list_and_a_missing_one_an_error(tmp_path: Path) -> None:
    assert "does not exist" in tool("results", "list", "--results", str(tmp_path / "no"), expect=2).stderr
    assert "There are no results" in tool("results", "show", "--results", str(tmp_path), expect=2).stderr
    assert json.loads(tool("results", "list", "--json", "--results", str(tmp_path)).stdout) == []


@pytest.fixture
def three_runs(tmp_path: Path) -> Path:
    """A results folder with two runs that can be compared, one that cannot, one damaged and one that never ended."""
    write_run(tmp_path, "20260101T000000.000-a", settings={"batch_size": 4})
    write_run(tmp_path, "20260102T000000.000-b", settings={"batch_size": 8})
    write_run(tmp_path, "20260103T000000.000-c", scenario="Server")
    write_damaged(tmp_path, "20260104T000000.000-d")
    (tmp_path / "20260105T000000.000-e").mkdir()
    return tmp_path


def test_damaged_results_are_named_and_the_others_listed(three_runs: Path) -> None:
    done = tool("results", "list", "--results", str(three_runs))
    assert [line.split()[0][-1] for line in done.stdout.splitlines()[1:]] == ["a", "b", "c"]
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Left out: {three_runs}/20260104T000000.000-d/result.json is not a result of this tool: ")


def test_results_are_compared_by_name_path_and_last(three_runs: Path) -> None:
    where = ("--results", str(three_runs))
    text = tool("results", "compare", "20260101T000000.000-a", str(three_runs / "20260102T000000.000-b"), *where).stdout
    assert text.splitlines()[-1].split() == ["settings.batch_size", "4", "8"]
    done = tool("results", "compare", "20260101T000000.000-a", "last", "--json", *where)
    fields = json.loads(done.stdout)
    assert [run["run"][-1] for run in fields["runs"]] == ["a", "c"]
    assert fields["obstacles"] == {"scenario": ["Offline", "Server"]}
    assert fields["differing"]["settings.batch_size"] == [4, None]


def test_results_that_cannot_be_compared_are_a_usage_error(three_runs: Path) -> None:
    where = ("--results", str(three_runs))
    assert "nothing to be compared" in tool("results", "compare", "last", *where, expect=ExitCode.USAGE).stderr
    for run, message in (
        ("nobody", "There is no result in"),
        ("20260104T000000.000-d", "is not a result of this tool"),
    ):
        for command in (("compare", "last", run), ("report", "last", run)):
            error = tool("results", *command, *where, expect=ExitCode.USAGE).stderr
            assert message in error
            assert error.count("Error: ") == 1
    assert not (three_runs / "report.html").exists()


def test_a_report_is_written_where_it_is_said(three_runs: Path) -> None:
    done = tool("results", "report", "--results", str(three_runs))
    assert done.stdout == f"{three_runs}/report.html\n"
    assert "20260104T000000.000-d/result.json" in done.stderr
    html = (three_runs / "report.html").read_text()
    assert html.count("<section ") == 3
    assert "20260104T000000.000-d/result.json" in html
    chosen = three_runs / "chosen.html"
    done = tool("results", "report", "last", "--output", str(chosen), "--results", str(three_runs), LC_ALL="C")
    assert done.stdout == f"{chosen}\n"
    assert chosen.read_text().count("<section ") == 1


def test_a_report_without_a_place_or_a_result_is_a_usage_error(three_runs: Path) -> None:
    def refused(*arguments: object) -> str:
        return tool("results", "report", *map(str, arguments), expect=ExitCode.USAGE).stderr

    missing, empty = three_runs / "no", three_runs / "20260105T000000.000-e"
    assert f"{missing} does not exist" in refused("--results", three_runs, "--output", missing / "r.html")
    assert not missing.exists()
    assert f"{missing} does not exist" in refused("--results", missing)
    assert "There are no results in" in refused("--results", empty)
    assert not list(empty.iterdir())
    assert "is a folder" in refused("--results", three_runs, "--output", three_runs)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["list"], ["results", "report"], ["results", "compare", "last", "last"]]
)
def test_the_host_tool_loads_no_framework_and_no_docker(arguments: list[str], tmp_path: Path) -> None:
    root = tmp_path / "mlperf-docker" / "results"
    root.mkdir(parents=True)
    write_run(root, "a")
    script = (
        "import sys\nfrom mlperf_docker.cli.entry import main\n"
        f"sys.argv = ['mlperf-docker', *{arguments}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    environment = {"HOME": "/nonexistent", "XDG_DATA_HOME": str(tmp_path), "DOCKER_HOST": "unix:///nowhere.sock"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "typer" in loaded
    assert not loaded & {*HEAVY, "docker", "requests"}
    assert not any(name.startswith("mlperf_docker.harness") for name in done.stderr.split())


def test_the_version_needs_no_command() -> None:
    done = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, f"mlperf-docker {__version__}\n")


EARLY = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from mlperf_docker.cli.entry import main
main()
"""
LATE = """
import os, signal, sys
from mlperf_docker.cli.entry import main
sys.argv = ["mlperf-docker", "--version"]
try:
    main()
finally:
    os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize(("script", "code", "said"), [(EARLY, ExitCode.INTERRUPTED, "Interrupted.\n"), (LATE, 0, "")])
def test_an_interrupt_before_a_command_begins_and_after_it_has_ended_is_quiet(
    script: str, code: int, said: str
) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (code, said)


def test_a_folder_that_our_own_harness_does_not_read_is_refused() -> None:
    said = tool("run", "dlrm", "--reference", "/one", "--model-code=/two", expect=ExitCode.USAGE).stderr
    assert "reads no such folder: --reference and --model-code" in said
    assert "Add --harness reference" in said


def test_the_variable_names_a_checkout_for_the_reference_alone() -> None:
    asked = ("run", "resnet50", "--synthetic=tiny")
    said = tool(*asked, "--harness=reference", MLPERF_INFERENCE="/missing", expect=ExitCode.USAGE).stderr
    assert "checkout /missing" in said
    assert "/missing" not in tool(*asked, MLPERF_INFERENCE="/missing", expect=ExitCode.ENGINE).stderr
