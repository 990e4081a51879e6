"""Making of an image in another kind, from the layers that a bundle has of it."""

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlperf_docker.bundle import oci_writing
from mlperf_docker.bundle.kinds import ImageKind
from mlperf_docker.bundle.stored import StoredImage
from mlperf_docker.bundle.unpacking import unpack
from mlperf_docker.display.progress import BYTES, Display
from mlperf_docker.errors import BundleError, UsageError

_TIMEOUT_S = 3600
_PROGRAMS = {ImageKind.SQSH: ("mksquashfs",), ImageKind.SIF: ("apptainer", "singularity")}
"""Kind → programs that make it, the first that is installed."""
_INSTALL = {
    ImageKind.SQSH: "Install it: apt-get install squashfs-tools",
    ImageKind.SIF: "Install one (https://apptainer.org), or write another kind: --format oci",
}


def program(kind: ImageKind) -> str | None:
    """Return the program that makes *kind*, None where it takes none. Raises UsageError where it is not installed."""
    names = _PROGRAMS.get(kind, ())
    found = next((path for name in names if (path := shutil.which(name))), None)
    if names and found is None:
        raise UsageError(f"An image of kind {kind} takes {' or '.join(names)}, not installed.", hint=_INSTALL[kind])
    return found


def make(kind: ImageKind, name: str, image: StoredImage, target: Path, display: Display) -> None:
    """Make the file or folder *target* of *image*; what is made on the way lies beside it.

    Raises BundleError where the image is damaged, or a program fails, and UsageError where it is not installed.
    """
    _MAKERS[kind](name, image, target, display)


def squash_command(mksquashfs: str, root: Path, target: Path) -> list[str]:
    """Return the command that makes a squashfs file of *root*; all of it belongs to root, as enroot has it."""
    return [mksquashfs, str(root), str(target), "-noappend", "-all-root", "-no-progress", "-no-xattrs", "-comp", "zstd"]


def sif_command(apptainer: str, layout: Path, name: str, target: Path) -> list[str]:
    """Return the command that makes a SIF file of the image *name* in an OCI layout; Singularity's is the same."""
    return [apptainer, "build", str(target), f"oci:{layout}:{name}"]


def _root(_name: str, image: StoredImage, target: Path, display: Display) -> None:
    unpack(image, target, lambda done, total: display.progress(done, total, BYTES))


def _layout(name: str, image: StoredImage, target: Path, display: Display) -> None:
    oci_writing.write([(name, image)], target, lambda done, total: display.progress(done, total, BYTES))


def _squash(name: str, image: StoredImage, target: Path, display: Display) -> None:
    mksquashfs = str(program(ImageKind.SQSH))
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=target.parent) as folder:
        root = Path(folder) / "root"
        _root(name, image, root, display)
        _add_settings(root, image.configuration["config"])
        _run(squash_command(mksquashfs, root, target))


def _sif(name: str, image: StoredImage, target: Path, display: Display) -> None:
    apptainer = str(program(ImageKind.SIF))
    with tempfile.TemporaryDirectory(prefix=".layout-", dir=target.parent) as folder:
        layout = Path(folder) / "oci"
        _layout(name, image, layout, display)
        _run(sif_command(apptainer, layout, name, target))


_MAKERS: Mapping[ImageKind, Callable[[str, StoredImage, Path, Display], None]] = {
    ImageKind.OCI: _layout,
    ImageKind.ROOT: _root,
    ImageKind.SQSH: _squash,
    ImageKind.SIF: _sif,
}


def _add_settings(root: Path, process: Mapping[str, Any]) -> None:
    """Write the image's variables and entrypoint where enroot reads them: a squashfs file has no configuration."""
    (root / "etc").mkdir(exist_ok=True)
    variables = "".join(f"{each}\n" for each in process.get("Env") or ())
    _replace(root / "etc/environment", variables)
    command = shlex.join(process.get("Entrypoint") or ())
    _replace(root / "etc/rc", f'cd {shlex.quote(process.get("WorkingDir") or "/")} || exit 1\nexec {command} "$@"\n')


def _replace(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)  # it may be a link that leads anywhere
    path.write_text(text, encoding="utf-8")


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, encoding="utf-8", errors="replace", timeout=_TIMEOUT_S)
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout or "").strip().splitlines()[-1:]
        raise BundleError(
            f"{command[0]} failed with {error.returncode}: {' '.join(last)}", hint=f"Try it: {shlex.join(command)}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"{command[0]} took longer than {_TIMEOUT_S} s.") from error
