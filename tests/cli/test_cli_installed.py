"""An installed tool: what is for a checkout says so, and nothing is written beside the code or where one stands."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.system.paths import assets
from tests.results.run_results import write_run


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with this one in it, laid out as the wheel is."""
    folder = tmp_path_factory.mktemp("site")
    package = folder / "mlperf_docker"
    shutil.copytree(assets() / "mlperf_docker", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "assets").mkdir()
    project = tomllib.loads((assets() / "pyproject.toml").read_text())
    for name, place in project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"].items():
        copy = shutil.copytree if (assets() / name).is_dir() else shutil.copy
        copy(assets() / name, folder / place)
    return folder


def installed(site: Path, work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tool of *site* in the empty folder *work*, and see that nothing was written to either."""
    before = {path for path in site.rglob("*") if "__pycache__" not in path.parts}
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "DOCKER_HOST": "unix:///nowhere.sock",
        "XDG_DATA_HOME": str(work.with_name("data")),
    }
    done = subprocess.run(
        [sys.executable, "-m", "mlperf_docker.cli.entry", *arguments],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert {path for path in site.rglob("*") if "__pycache__" not in path.parts} == before
    assert not list(work.iterdir())
    return done


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.mark.parametrize("arguments", ["render", "render --check", "lock", "lock --bases", "lock --requirements"])
def test_commands_for_a_checkout_say_so_in_one_line(arguments: str, site: Path, work: Path) -> None:
    done = installed(site, work, *arguments.split())
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    (line,) = done.stderr.splitlines()
    assert "for a checkout of the project" in line


@pytest.mark.parametrize(
    "arguments",
    ["list", "list --markdown", "show bert --dockerfile", "data list", "models list", "rounds show v5.1"],
)
def test_commands_that_only_read_work_installed(arguments: str, site: Path, work: Path) -> None:
    done = installed(site, work, *arguments.split())
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_evidence_is_the_users(site: Path, work: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path, "run", synthetic_size="tiny", settings={})
    done = installed(site, work, "evidence", "--from", f"{run.results_dir}/result.json")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "mlperf-docker" / "evidence.json").is_file()


def test_the_commit_is_not_that_of_a_repository_around_it(site: Path) -> None:
    git = ("git", "-C", str(site), "-c", "user.name=x", "-c", "user.email=x")
    for command in (("init", "--quiet"), ("commit", "--quiet", "--allow-empty", "--message=x")):
        subprocess.run([*git, *command], check=True)
    script = "from mlperf_docker.recipe.origin import revision; print(revision())"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=site, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "unknown\n"
