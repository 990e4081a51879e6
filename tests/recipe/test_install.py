"""The script of a build's install steps: alone, as a build mounts it, with a real pip and the smallest wheels."""

import ensurepip
import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.images.building.buildkit import UNSUITABLE_BASES
from mlperf_docker.recipe import install
from mlperf_docker.recipe.install import Places
from mlperf_docker.recipe.layout import ImageLayout
from tests.fixtures import tiny_wheel

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


class Build:
    """A build in a folder: the mounts of its steps, and an image that has only /opt."""

    def __init__(self, root: Path) -> None:
        self.tools, self.layer = root / "tools", root / "layer"
        layout = ImageLayout(
            home=str(root / "opt/mlperf"),
            venv=str(root / "opt/venv"),
            stage=str(root / "stage"),
            layer=str(self.layer),
            cache=str(root / "cache"),
        )
        self.tools.mkdir()
        self.script = self.tools / "install"
        self.script.write_bytes(Path(install.__file__).read_bytes())
        (self.tools / "layout.json").write_bytes(layout.places())
        self.places = Places.read(self.tools / "layout.json")

    def pip(self) -> None:
        """Have the pip that this Python brings in the place of Debian's."""
        (wheel,) = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.places.pip)

    def mount(self, *wheels: Path, left_out: str = "") -> None:
        """Have *wheels* as the requirements of the next layer."""
        self.layer.mkdir(exist_ok=True)
        (self.layer / "requirements.txt").write_text("".join(map(tiny_wheel.pin, wheels)))
        (self.layer / "left-out.txt").write_text(left_out)
        (self.layer / "pip.conf").write_text(f"[global]\nno-index = true\nfind-links = {wheels[0].parent}\n")

    def step(self, *words: str, python: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the script by itself, as a build does."""
        argv = [str(python or sys.executable), "-I", str(self.script), *words]
        bare = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        return subprocess.run(argv, env=bare, capture_output=True, text=True, check=False, timeout=120)

    @property
    def site(self) -> Path:
        return self.places.venv / f"lib/python{HERE}/site-packages"


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path)


def test_a_python_without_a_lock_ends_the_build_with_words_that_the_engines_part_knows(build: Build) -> None:
    done = build.step("pip", "3.98", "3.99")
    said = f"This base has Python {HERE}, and the locked packages are for 3.98, 3.99.\n"
    assert (done.returncode, done.stderr) == (1, said)
    assert any(sign.search(said) for sign in UNSUITABLE_BASES)


def test_the_layers_mount_a_folder_of_its_own_that_is_there_once_it_is_whole(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "$DEBIAN_FRONTEND $*" >> {log}\n')
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DEBIAN_FRONTEND", "")
    monkeypatch.setattr(install, "_PIP_WHEELS", Path(ensurepip.__file__).parent / "_bundled")
    install.unpack_pip(build.places, ["3.1", HERE])
    assert {path.name for path in build.places.stage.iterdir()} == {"install", "layout.json", "pip.unpacked"}
    assert (build.places.stage / "pip.unpacked/pip/__init__.py").is_file()
    assert os.access(build.places.stage / "install", os.X_OK) is os.access(build.script, os.X_OK)
    assert log.read_text().splitlines() == [
        " update",
        "noninteractive install --yes --no-install-recommends python3-pip-whl",
    ]


def test_a_program_that_fails_ends_the_step_with_its_exit_code_and_no_traceback(build: Build, tmp_path: Path) -> None:
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho no mirror >&2\nexit 100\n")
    (tmp_path / "apt-get").chmod(0o755)
    argv = [sys.executable, str(build.script), "pip", HERE]
    done = subprocess.run(
        argv, env={"PATH": str(tmp_path) + ":/bin"}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (100, "no mirror\n")
    assert not build.places.stage.exists()


def test_a_layer_has_what_its_wheels_hold_and_a_record_of_it(build: Build, tmp_path: Path) -> None:
    more = {
        "one/tests/test_one.py": "",
        "one/deep/tests/test_deep.py": "",
        "one/deep/part.py": "def f():\n    return 1\n",
        "one/of_another_python.py": "print 'old'\n",
        "one/made.pyc": "made elsewhere",
    }
    wheel = tiny_wheel.make(tmp_path / "house", "One", "1.0", more=more)
    build.pip()
    build.mount(wheel, left_out="one/**/tests\n")
    assert build.step("layer", "common").returncode == 0
    assert {path.name for path in build.site.rglob("*.py")} == {"__init__.py", "part.py", "of_another_python.py"}
    compiled = [*build.site.rglob("__pycache__/*.pyc"), build.site / "one/made.pyc"]
    assert {path.name.partition(".")[0] for path in compiled} == {"__init__", "part", "made"}
    assert all(path.read_bytes()[4:8] == b"\1\0\0\0" for path in compiled[:-1]), "byte code that is never checked"
    home = build.places.home
    listed = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}" for path in compiled]
    assert (home / "bytecode/common.sha256").read_text().splitlines() == sorted(listed)
    assert (home / "wheels/common.txt").read_text() == f"One 1.0 {tiny_wheel.digest(wheel).replace(':', '=')}\n"
    assert (home / "requirements/common.txt").read_text() == tiny_wheel.pin(wheel)


def test_the_next_layer_leaves_the_files_of_the_one_below_as_they_are(build: Build, tmp_path: Path) -> None:
    one, two = (tiny_wheel.make(tmp_path / "house", name, "1.0") for name in ("one", "two"))
    build.pip()
    build.mount(one)
    assert build.step("layer", "common").returncode == 0
    below = {path: path.stat() for path in build.places.venv.rglob("*") if path.is_file()}
    build.mount(two)
    assert build.step("layer", "backend").returncode == 0
    assert (build.site / "two/__init__.py").is_file()
    assert {path: path.stat().st_mtime_ns for path in below} == {path: was.st_mtime_ns for path, was in below.items()}
    listed = (build.places.bytecode / "backend.sha256").read_text()
    assert "/two/" in listed
    assert "/one/" not in listed


def test_a_wheel_that_is_not_the_locked_one_ends_the_step(build: Build, tmp_path: Path) -> None:
    build.pip()
    build.mount(tiny_wheel.make(tmp_path / "house", "one", "1.0"))
    tiny_wheel.make(tmp_path / "house", "one", "1.0", more={"one/other.py": ""})
    done = build.step("layer", "common")
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (build.places.wheels / "common.txt").exists()


@pytest.mark.parametrize(
    ("name", "more", "needs", "said"),
    [
        ("whole", {}, "", ""),
        ("lonely", {}, "absent", "absent, which is not installed"),
        ("broken", {"broken/__init__.py": "import absent_module\n"}, "", "No module named 'absent_module'"),
    ],
)
def test_install_check_finds_conflicts_and_failing_imports(
    build: Build, tmp_path: Path, name: str, more: dict[str, str], needs: str, said: str
) -> None:
    build.pip()
    build.mount(tiny_wheel.make(tmp_path / "house", name, "1.0", more=more, needs=needs))
    assert build.step("layer", "common").returncode == 0
    done = build.step("check", python=build.places.venv / "bin/python")
    assert bool(done.returncode) is bool(said)
    assert said in done.stdout + done.stderr


def harness(build: Build, source: str) -> Places:
    """Have a harness of one module besides the bill of materials, which a finished image has."""
    package = build.places.home / "ours"
    package.mkdir(parents=True)
    (build.places.home / "bytecode").mkdir()
    (package / "__main__.py").write_text("import sys\nprint('ours', *sys.argv[1:])\n")
    (package / "sbom.py").write_text("import sys\nprint('bill', *sys.argv[1:])\n")
    (package / "part.py").write_text(source)
    return build.places


def test_the_last_step_compiles_the_harness_writes_the_bill_and_starts_it(
    build: Build, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    places = harness(build, "PART = 1\n")
    monkeypatch.setenv("PYTHONPATH", str(places.home))
    install.finish(places, "ours", "debian:1", "sha256:0")
    assert places.sbom.read_text() == "bill --base=debian:1 --base-identity=sha256:0\n"
    assert capfd.readouterr().out == "ours --version\n"
    assert len((places.bytecode / "harness.sha256").read_text().splitlines()) == 3


def test_a_harness_that_does_not_compile_ends_the_build(build: Build) -> None:
    places = harness(build, "PART =\n")
    with pytest.raises(SystemExit, match=r"part\.py"):
        install.finish(places, "ours", "debian:1", "sha256:0")


def test_the_script_reads_every_place_of_the_layout(tmp_path: Path) -> None:
    layout = replace(ImageLayout(), home="/elsewhere")
    (tmp_path / "layout.json").write_bytes(layout.places())
    places = Places.read(tmp_path / "layout.json")
    assert (str(places.sbom), str(places.wheels)) == (layout.sbom, layout.wheels)
    assert str(places.home) == "/elsewhere"
