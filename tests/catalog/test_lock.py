"""How locks are made; uv itself is replaced by a small program that writes a known answer."""

import sys
from pathlib import Path

import pytest

from mlperf_docker import lock
from mlperf_docker.catalog import Catalog
from mlperf_docker.errors import UsageError
from mlperf_docker.paths import assets

CATALOG = Catalog.load(assets() / "images.yaml")
HASH = "sha256:" + "c" * 64
ANSWER = f"numpy==9.9 \\\n    --hash={HASH}\n    # via -r onnxruntime-cpu.in\n"


def pretend_uv(folder: Path, body: str) -> str:
    """Return a program that does *body* with `arguments`, the command line without the program."""
    program = folder / "uv"
    program.write_text(f"#!{sys.executable}\nimport pathlib, sys\narguments = sys.argv[1:]\n{body}\n")
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A uv that writes ANSWER and keeps its arguments and source in tmp_path."""
    body = (
        "target = next(a for a in arguments if a.startswith('--output-file=')).partition('=')[2]\n"
        f"pathlib.Path(target).write_text({ANSWER!r})\n"
        f"kept = pathlib.Path({str(tmp_path)!r})\n"
        "(kept / 'arguments').write_text('\\n'.join(arguments))\n"
        "(kept / 'source').write_text(pathlib.Path(arguments[-1]).read_text())"
    )
    monkeypatch.setattr(lock, "_find_uv", lambda: pretend_uv(tmp_path, body))
    return tmp_path


def test_the_lock_is_written_and_its_change_shown(uv: Path) -> None:
    folder = uv / "locks"
    first = lock.refresh(CATALOG, folder)
    assert (folder / "onnxruntime-cpu.txt").read_text() == lock.header(CATALOG.specs[0]) + ANSWER
    assert "+numpy==9.9" in first
    assert lock.refresh(CATALOG, folder) == ()
    assert not list(folder.glob(".*"))


def test_uv_gets_what_the_catalog_asks_for_and_no_path_of_this_machine(uv: Path) -> None:
    lock.refresh(CATALOG, uv / "locks", upgrade=True)
    arguments = (uv / "arguments").read_text().splitlines()
    assert "--generate-hashes" in arguments
    assert "--only-binary=:all:" in arguments
    assert "--python-version=3.11" in arguments
    assert "--upgrade" in arguments
    assert arguments[-1] == "onnxruntime-cpu.in"
    assert "/" not in "".join(arguments)
    wanted = (uv / "source").read_text().split()
    assert "mlcommons-loadgen==6.0.17" in wanted
    assert any(line.startswith("onnxruntime>=") for line in wanted)
    assert any(line.startswith("opencv-python-headless>=") for line in wanted)


def test_a_failure_shows_what_uv_said_and_leaves_the_old_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = pretend_uv(tmp_path, "sys.exit('no solution: numpy is too old')")
    monkeypatch.setattr(lock, "_find_uv", lambda: program)
    old = tmp_path / "onnxruntime-cpu.txt"
    old.write_text("before")
    with pytest.raises(UsageError, match="No lock for onnxruntime-cpu; uv says:\nno solution: numpy is too old"):
        lock.refresh(CATALOG, tmp_path)
    assert old.read_text() == "before"


def test_pips_index_serves_uv_unless_it_has_its_own() -> None:
    mirror = {"PIP_INDEX_URL": "https://mirror.example/simple"}
    assert lock.environment(mirror)["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    own = {**mirror, "UV_DEFAULT_INDEX": "https://other.example/simple"}
    assert lock.environment(own)["UV_DEFAULT_INDEX"] == "https://other.example/simple"
    assert "UV_DEFAULT_INDEX" not in lock.environment({})
