"""Kinds that are made of an image's layers: by the real program where Debian has it, else the command is compared."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mlperf_docker.bundle import making
from mlperf_docker.bundle.kinds import ImageKind
from mlperf_docker.bundle.stored import StoredImage
from mlperf_docker.errors import BundleError, UsageError
from tests.bundle.bundles import image, packed
from tests.bundle.test_unpacking import files
from tests.fakes.engine import FakeDisplay
from tests.fixtures.programs import program


@pytest.fixture
def found(tmp_path: Path) -> StoredImage:
    lower = packed({"etc/environment": "/outside", "a": b"old", "b": b"b"})
    return image(tmp_path / "blobs", "test:1", [lower, packed({"a": b"new", ".wh.b": b""})])


def test_a_squashfs_file_has_the_root_and_what_enroot_reads(found: StoredImage, tmp_path: Path) -> None:
    program("mksquashfs", "squashfs-tools")
    (tmp_path / "made").mkdir()
    making.make(ImageKind.SQSH, "one", found, tmp_path / "made/one.sqsh", FakeDisplay())
    assert [each.name for each in (tmp_path / "made").iterdir()] == ["one.sqsh"]
    argv = ["unsquashfs", "-quiet", "-dest", str(tmp_path / "root"), str(tmp_path / "made/one.sqsh")]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    assert files(tmp_path / "root") == {
        "a": "new",
        "etc/environment": "PATH=/bin\nGREETING=two words\n",
        "etc/rc": 'cd /results || exit 1\nexec /bin/sh -c "$@"\n',
    }
    listed = subprocess.run(
        ["unsquashfs", "-lln", str(tmp_path / "made/one.sqsh")], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert all(" 0/0 " in line for line in listed.splitlines() if "squashfs-root" in line), listed


def test_the_command_of_a_sif_file(tmp_path: Path) -> None:
    """As https://apptainer.org/docs/user/latest/docker_and_oci.html has it: `apptainer build FILE oci:DIR:TAG`."""
    argv = making.sif_command("/usr/bin/apptainer", tmp_path / "oci", "one-1", tmp_path / "one.sif")
    assert argv == ["/usr/bin/apptainer", "build", str(tmp_path / "one.sif"), f"oci:{tmp_path / 'oci'}:one-1"]


def test_a_sif_file_is_made_of_a_layout(found: StoredImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a program of this name that says what it was given, as none is in Debian."""
    programs = tmp_path / "bin"
    programs.mkdir()
    script = '#!/bin/sh\nset -e\ntest "$1" = build\nfolder=${3#oci:}\ncp "${folder%:*}/index.json" "$2"\n'
    (programs / "singularity").write_text(script)
    (programs / "singularity").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    if shutil.which("apptainer"):
        pytest.skip("the real one is installed")
    (tmp_path / "made").mkdir()
    making.make(ImageKind.SIF, "one-1", found, tmp_path / "made/one.sif", FakeDisplay())
    assert '"org.opencontainers.image.ref.name": "one-1"' in (tmp_path / "made/one.sif").read_text()
    assert [each.name for each in (tmp_path / "made").iterdir()] == ["one.sif"]
    (programs / "singularity").write_text("#!/bin/sh\necho no room >&2\nexit 255\n")
    with pytest.raises(BundleError, match="singularity failed with 255: no room"):
        making.make(ImageKind.SIF, "one-1", found, tmp_path / "made/two.sif", FakeDisplay())


@pytest.mark.parametrize(
    ("kind", "said"), [(ImageKind.SIF, "apptainer or singularity"), (ImageKind.SQSH, "mksquashfs")]
)
def test_a_program_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, kind: ImageKind, said: str) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match=f"takes {said}, not installed"):
        making.program(kind)
    assert making.program(ImageKind.OCI) is None
