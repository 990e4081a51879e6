#!/usr/bin/env python3
"""Install steps of an image's build: `install pip`, `install layer NAME`, `install check` and `install harness`.

A build mounts this file, with layout.json beside it, and runs it with the base's own Python: so it is written for the
standard library alone, imports nothing of ours, and says so itself where that Python is too old for the lock. Equal
inputs leave equal files: everything is handled in sorted order, and byte code holds no time.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

_HERE = Path(__file__).resolve().parent
_UNPACKED = "pip.unpacked"  # beside the script, by a name that nothing imports
_PIP_WHEELS = Path("/usr/share/python-wheels")  # where Debian's python3-pip-whl has pip


@dataclass(frozen=True)
class Places:
    """Paths that a build reads and writes."""

    home: Path
    """The harness, and the records of what was installed."""
    venv: Path
    """The virtual environment."""
    requirements: Path
    wheels: Path
    bytecode: Path
    """A file for each layer: what was asked for, which wheels were taken, and the hashes of the byte code."""
    sbom: Path
    """The bill of materials."""
    stage: Path
    """What the layers mount of the tools stage: this script, its layout and pip. It is there once it is whole."""
    pip: Path
    """pip, unpacked. No image has it."""
    layer: Path
    """The layer's part of the build context: its requirements, what it leaves out, pip's settings and local wheels."""
    cache: Path
    """pip's downloads."""

    @classmethod
    def read(cls, path: Path) -> Places:
        """Return what layout.json at *path* says; pip is beside it."""
        said = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name: Path(said[field.name]) for field in fields(cls) if field.name != "pip"}
        return cls(**known, pip=path.parent / _UNPACKED)


def unpack_pip(places: Places, pythons: Sequence[str]) -> None:
    """Check that the base's Python is one of *pythons*, and have the script and Debian's pip where layers mount them.

    Buildah 1.28 mounts a stage that its cache gave as it was after an earlier step: there the folder is missing, which
    the host notices, and not half.
    """
    here = "{}.{}".format(*sys.version_info)
    if here not in pythons:
        sys.exit(f"This base has Python {here}, and the locked packages are for {', '.join(pythons)}.")
    _run("apt-get", "update")
    _run("apt-get", "install", "--yes", "--no-install-recommends", "python3-pip-whl", DEBIAN_FRONTEND="noninteractive")
    (wheel,) = _PIP_WHEELS.glob("pip-*.whl")
    shutil.copytree(places.pip.parent, places.stage)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(places.stage / _UNPACKED)


def install_layer(places: Places, name: str) -> None:
    """Install the requirements of the layer *name*, and record what came of it.

    Libraries have files for other Pythons, which do not compile: no matter, as everything that is needed is imported
    by `check`.
    """
    if not places.venv.exists():
        _run(sys.executable, "-m", "venv", "--without-pip", str(places.venv))
    wheels = _pip_install(places)
    for folder in _left_out(places):
        shutil.rmtree(folder)
    files = {each for each in _installed(places.venv, wheels) if each.exists()}
    _compile(each for each in files if each.suffix == ".py")
    _write(_made(places.wheels) / f"{name}.txt", (f"{project} {wheel}" for project, wheel in wheels.items()))
    _write(_made(places.bytecode) / f"{name}.sha256", _hashes(_bytecode(files)))
    shutil.copyfile(places.layer / "requirements.txt", _made(places.requirements) / f"{name}.txt")


def check(places: Places) -> None:
    """Check that everything installed fits together and can be imported.

    Some of NVIDIA's wheels name what they hold by its path, nvidia/cusparselt.
    """
    _run(sys.executable, "-m", "pip", "--disable-pip-version-check", "check", PYTHONPATH=str(places.pip))
    for name in metadata.packages_distributions():
        importlib.import_module(name.replace("/", "."))


def finish(places: Places, module: str, base: str, identity: str) -> None:
    """Compile the harness, whose package is *module*, write the bill of materials, and see that the harness starts."""
    failed = _compile(places.home.rglob("*.py"))
    if failed:
        sys.exit(f"The harness does not compile: {', '.join(map(str, failed))}")
    _write(places.bytecode / "harness.sha256", _hashes(places.home.rglob("*.pyc")))
    bill = [sys.executable, "-m", f"{module}.sbom", f"--base={base}", f"--base-identity={identity}"]
    places.sbom.write_bytes(_run(*bill, printing=False))
    _run(sys.executable, "-m", module, "--version")


def _pip_install(places: Places) -> dict[str, str]:
    """Install by pip, and return `name version` → `sha256=…` of each wheel. The lock allows those of many platforms."""
    argv = [str(places.venv / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    argv += ["--quiet", "--report=-", f"--cache-dir={places.cache}", "--require-hashes", "--only-binary=:all:"]
    argv += ["--no-deps", "--no-compile", f"--requirement={places.layer / 'requirements.txt'}"]
    settings = {"PYTHONPATH": str(places.pip), "PIP_CONFIG_FILE": str(places.layer / "pip.conf")}
    report = json.loads(_run(*argv, printing=False, **settings))
    return {_named(each["metadata"]): each["download_info"]["archive_info"]["hash"] for each in report["install"]}


def _named(about: dict[str, Any]) -> str:
    return f"{about['name']} {about['version']}"


def _installed(venv: Path, projects: Iterable[str]) -> Iterator[Path]:
    """Yield the files in the site-packages of *venv* that belong to *projects*, by their installer's records."""
    wanted = {_canonical(each.partition(" ")[0]) for each in projects}
    site = _site_packages(venv)
    for found in metadata.distributions(path=[str(site)]):
        if _canonical(found.metadata["Name"]) in wanted:
            paths = (Path(os.path.normpath(site / each)) for each in found.files or ())
            yield from (each for each in paths if each.is_relative_to(site))


def _site_packages(venv: Path) -> Path:
    (site,) = venv.glob("lib/python*/site-packages")
    return site


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _left_out(places: Places) -> list[Path]:
    """Return the folders that the layer does without; of two within each other, the outer one."""
    site = _site_packages(places.venv)
    found = {path for glob in _lines(places.layer / "left-out.txt") for path in site.glob(glob) if path.is_dir()}
    return sorted(path for path in found if found.isdisjoint(path.parents))


def _compile(sources: Iterable[Path]) -> list[Path]:
    """Compile *sources* and return those that do not.

    Byte code halves the time of an import. It is unchecked: it depends on the source alone, whatever the time of that
    file, and needs no look at it when a run starts.
    """
    mode = PycInvalidationMode.UNCHECKED_HASH
    return [
        each
        for each in sorted(sources)
        if not compileall.compile_file(each, force=True, quiet=2, invalidation_mode=mode)
    ]


def _bytecode(files: Iterable[Path]) -> Iterator[Path]:
    """Yield the byte code of *files*: what was compiled, and what a wheel brought."""
    for each in files:
        if each.suffix == ".pyc":
            yield each
        elif each.suffix == ".py" and (compiled := Path(cache_from_source(str(each)))).exists():
            yield compiled


def _hashes(files: Iterable[Path]) -> Iterator[str]:
    """Yield lines as `sha256sum` writes them. The byte code is what will run, and is in no installer's record."""
    return (f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each}" for each in files)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in sorted(set(lines))), encoding="utf-8")


def _run(*argv: str, printing: bool = True, **environment: str) -> bytes:
    """Run *argv*, and return what it says on stdout where that is not for printing. No time limit but the build's."""
    done = subprocess.run(
        argv, stdout=None if printing else subprocess.PIPE, env={**os.environ, **environment}, check=True
    )
    return done.stdout or b""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="install", description="The steps of a build.")
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("pip", help="have pip for the layers").add_argument("pythons", nargs="+", metavar="PYTHON")
    steps.add_parser("layer", help="install the packages of a layer").add_argument("name")
    steps.add_parser("check", help="check that the packages fit together")
    harness = steps.add_parser("harness", help="compile the harness and write the bill of materials")
    harness.add_argument("module")
    harness.add_argument("--base", required=True)
    harness.add_argument("--base-identity", required=True)
    return parser


def main(arguments: Sequence[str] | None = None, layout: Path = _HERE / "layout.json") -> int:
    """Do one step and return its exit code: that of the program that failed, if one did."""
    options = _parser().parse_args(arguments)
    places = Places.read(layout)
    # Else setuptools, which Python imports at every start, would be compiled with the time of its source.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    warnings.simplefilter("ignore")  # of libraries' sources, when they are compiled
    try:
        if options.step == "pip":
            unpack_pip(places, options.pythons)
        elif options.step == "layer":
            install_layer(places, options.name)
        elif options.step == "check":
            check(places)
        else:
            finish(places, options.module, options.base, options.base_identity)
    except subprocess.CalledProcessError as error:
        return error.returncode if error.returncode > 0 else 128 - error.returncode
    return 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
