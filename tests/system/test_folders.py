"""The user's folders: no home, read-only or full ones, paths that cannot be, file systems without locks."""

import errno
import json
import os
import pwd
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import FolderError
from mlperf_docker.evidence import records
from mlperf_docker.inputs import checksums
from mlperf_docker.inputs.text import dataset_text
from mlperf_docker.results import store
from mlperf_docker.system import atomic, exclusive, folders, paths
from tests.cli.test_cli import COMMAND, tool
from tests.results.run_results import run_result

NO_LOCKS = """
import errno, fcntl, os
def flock(descriptor, operation):
    raise OSError(errno.{name}, os.strerror(errno.{name}))
fcntl.flock = flock
"""
READING = (("list",), ("results", "list"), ("models", "list"), ("data", "list"), ("models", "verify"))
REMEMBERED = Path(".cache/mlperf-docker/cells.json")
"""What `list` leaves, so that the next one is quick."""


@pytest.fixture
def full() -> Path:
    """A place where every byte is one too many: /dev/full, as what a file's name leads to."""
    return Path("/dev/full")


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_commands_that_only_read_leave_nothing_but_what_list_remembers(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    tool(*arguments, HOME=str(tmp_path))
    files = [each.relative_to(tmp_path) for each in tmp_path.rglob("*") if each.is_file() or not any(each.iterdir())]
    assert files == ([REMEMBERED] if arguments == ("list",) else [])


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
@pytest.mark.parametrize("home", ["/dev/null", "relative"])
def test_commands_that_only_read_need_no_folder(arguments: tuple[str, ...], home: str) -> None:
    tool(*arguments, HOME=home)


def test_doctor_judges_the_disk_of_a_cache_that_is_not_there_yet(tmp_path: Path) -> None:
    found = json.loads(tool("doctor", "--json", expect=3, PATH="/nowhere", HOME=str(tmp_path / "none")).stdout)
    (cache,) = [each for each in found if each["name"] == "cache disk"]
    assert cache["finding"].endswith(f" free at {tmp_path}")
    assert not list(tmp_path.iterdir())


def test_without_a_home_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_number: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for variable, place in (("XDG_DATA_HOME", paths.results_place), ("XDG_CACHE_HOME", paths.cache_place)):
        monkeypatch.delenv(variable, raising=False)
        with pytest.raises(FolderError, match="HOME is not set") as raised:
            place()
        assert variable in str(raised.value.hint)
    assert checksums.remembered(Path("/etc/passwd")) == {}
    assert "No home folder is known" in dataset_text(Catalog.load().models[0].dataset, ["resnet50"])
    assert records.known().entries
    monkeypatch.setattr(paths, "checkout", lambda: None)
    assert records.known().entries == ()
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert paths.results_place() == Path("/data/mlperf-docker/results")


def test_a_variable_with_a_relative_folder_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """HOME, too: the system's own word for the user's home is taken instead."""
    monkeypatch.setenv("HOME", "relative")
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    for variable, place, folder in (
        ("XDG_CACHE_HOME", paths.cache_place, ".cache/mlperf-docker"),
        ("XDG_STATE_HOME", paths.log_place, ".local/state/mlperf-docker/logs"),
        ("XDG_DATA_HOME", paths.results_place, ".local/share/mlperf-docker/results"),
    ):
        monkeypatch.setenv(variable, "relative")
        assert place() == home / folder


@pytest.mark.parametrize("arguments", [("models", "fetch", "resnet50"), ("run", "bert", "--dry-run")])
def test_a_folder_that_cannot_be_made_is_named_with_its_variable(arguments: tuple[str, ...]) -> None:
    extra = ("--synthetic", "tiny") if arguments[0] == "run" else ()
    error = tool(*arguments, *extra, expect=ExitCode.USAGE, XDG_CACHE_HOME="/proc/none").stderr
    assert "/proc/none" in error
    assert "XDG_CACHE_HOME" in error


def test_a_home_of_nobody_and_an_empty_path_are_usage_errors() -> None:
    error = tool("run", "resnet50", "--dataset", "~nobody-of-that-name/x", "--dry-run", expect=ExitCode.USAGE).stderr
    assert "--dataset" in error
    assert "there is no user nobody-of-that-name" in error
    for arguments in (("results", "list", "--results", ""), ("bundle", "verify", ""), ("show", "bert", "--output", "")):
        assert "A path is empty" in tool(*arguments, expect=ExitCode.USAGE).stderr
    assert "no user nobody-of" in tool("results", "show", "~nobody-of-that-name", expect=ExitCode.USAGE).stderr


def test_the_users_paths_are_those_of_the_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    assert paths.of_user("~/x") == Path("/home/me/x")
    assert paths.of_user("./~/x") == tmp_path / "~/x"
    assert paths.of_user("x") == tmp_path / "x"


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000, "/dev/null/x"])
@pytest.mark.parametrize("arguments", [("results", "list", "--results"), ("bundle", "verify"), ("results", "show")])
def test_paths_that_cannot_be_are_usage_errors(arguments: tuple[str, ...], name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlperf_docker.cli.entry", *arguments, name], capture_output=True, text=True, check=False
    )
    assert done.returncode in (ExitCode.USAGE, ExitCode.REGISTRY), done.stderr
    assert "bug" not in done.stderr


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "No space is left in {folder}: file cannot be written."),
        (errno.EDQUOT, "The disk quota is used up in {folder}: file cannot be written."),
        (errno.EROFS, "{folder}/file cannot be used: the file system is read-only."),
        (errno.EACCES, "{folder}/file cannot be used: permission denied."),
        (errno.EIO, "{folder}/file cannot be used: the disk reports an error."),
        (errno.ENAMETOOLONG, "{folder}/file cannot be used: the name is too long."),
    ],
)
def test_a_refusal_of_the_file_system_names_the_place(number: int, said: str, tmp_path: Path) -> None:
    def refuse() -> None:
        with folders.naming(tmp_path / "file"):
            raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=re.escape(str(tmp_path / "file"))) as raised:
        refuse()
    refused = folders.refused(raised.value)
    assert refused is not None
    assert str(refused) == said.format(folder=tmp_path)


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.EPIPE, errno.ENETUNREACH])
def test_a_fault_of_the_network_is_not_taken_for_one_of_a_file(number: int, tmp_path: Path) -> None:
    def fail() -> None:
        with folders.naming(tmp_path):
            raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as raised:
        fail()
    assert folders.refused(raised.value) is None


def test_a_full_disk_names_the_result_and_leaves_the_old_one(tmp_path: Path, full: Path) -> None:
    store.write(run_result(), tmp_path)
    before = (tmp_path / "result.json").read_text(encoding="utf-8")
    (tmp_path / f".result.json.{os.getpid()}").symlink_to(full)
    with pytest.raises(OSError, match="No space left") as raised:
        store.write(run_result(samples=2), tmp_path)
    assert str(folders.refused(raised.value)).startswith(f"No space is left in {tmp_path}: result.json")
    assert (tmp_path / "result.json").read_text(encoding="utf-8") == before
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    with pytest.raises(OSError, match=r"/proc/self/none"):
        atomic.write_text(Path("/proc/self/none/x"), "")


@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EINVAL", "EBADF"])
def test_without_locks_a_run_goes_on_and_says_so_once(name: str, tmp_path: Path) -> None:
    script = NO_LOCKS.format(name=name) + (
        "import pathlib, sys\nfrom mlperf_docker.inputs import checksums\n"
        "from mlperf_docker.results import store\nfrom mlperf_docker.system import exclusive\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "for _ in range(2):\n    with store.claim(root, 'a', print):\n        pass\n"
        "with exclusive.folder(root):\n    print('held')\n"
        "checksums.of(pathlib.Path('/etc/passwd'), ('md5',))\n"
        "print(checksums.remembered(pathlib.Path('/etc/passwd')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    note, held, remembered = done.stdout.splitlines()
    assert note == f"Note: the file system of {tmp_path} has no locks: nothing keeps a second run out."
    assert held == "held"
    assert "md5" in remembered


def test_a_fault_of_the_disk_is_not_taken_for_a_lack_of_locks(tmp_path: Path) -> None:
    script = NO_LOCKS.format(name="EIO") + (
        "import pathlib, sys\nfrom mlperf_docker.results import store\n"
        "with store.claim(pathlib.Path(sys.argv[1]), 'a', print): pass"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert f"Input/output error: '{tmp_path}" in done.stderr


def test_a_second_holder_is_refused_at_once(tmp_path: Path) -> None:
    with exclusive.file(tmp_path / "lock") as held:
        assert held
        with pytest.raises(BlockingIOError), exclusive.file(tmp_path / "lock"):
            pass


def test_without_room_for_temporary_files_the_folders_are_named() -> None:
    script = """
import tempfile
from mlperf_docker.system import folders
tempfile._candidate_tempdir_list = lambda: ["/proc/none"]
try:
    tempfile.gettempdir()
except OSError as error:
    print(*folders.refused(error).lines())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "/proc/none" in done.stdout
    assert "TMPDIR" in done.stdout


def test_a_working_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    script = f"cd {tmp_path} && mkdir gone && cd gone && rmdir ../gone && exec {COMMAND} results show run"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.USAGE
    assert "The working folder does not exist any more" in done.stderr
