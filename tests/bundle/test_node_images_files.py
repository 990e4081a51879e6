"""Files and folders that runtimes without a daemon take images in: the bundle's own, else made once for each node."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlperf_docker.bundle import manifest as manifests
from mlperf_docker.bundle import node_images, oci, oci_writing, stored
from mlperf_docker.bundle.checking import check
from mlperf_docker.bundle.kinds import IMAGES, ImageKind
from mlperf_docker.bundle.manifest import File
from mlperf_docker.bundle.node_images import BundledImage
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.errors import BundleError
from mlperf_docker.inputs import checksums
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.system import node_cache
from tests.bundle.bundles import bundle, packed
from tests.bundle.test_unpacking import files
from tests.fakes.engine import FakeDisplay

REGISTRY = "mlperf-test"
LAYERS = [packed({"a": b"old", "b": b"b", "big": bytes(5_000_000)}), packed({"a": b"new", ".wh.b": b""})]
UNPACK = """
import sys
from pathlib import Path
from mlperf_docker.bundle import node_images
from mlperf_docker.bundle.kinds import ImageKind
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find
from mlperf_docker.recipe.render import recipe_of
from tests.fakes.engine import FakeDisplay

display = FakeDisplay()
display.say = lambda text: print(text, file=sys.stderr, flush=True)
found = node_images.find(Path(sys.argv[1]), recipe_of(find(Catalog.load(), "resnet50", "onnxruntime")), "mlperf-test")
print(node_images.image_file(found, ImageKind.ROOT, display))
"""


@pytest.fixture(autouse=True)
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The node's own cache, and a home."""
    monkeypatch.setenv("MLPERF_DOCKER_NODE_CACHE", str(tmp_path / "local"))
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "local/n1"


@pytest.fixture
def found(resnet50: ImageSpec, tmp_path: Path) -> BundledImage:
    recipe = recipe_of(resnet50)
    return node_images.find(bundle(tmp_path / "bundle", recipe, LAYERS, tmp_path / "blobs"), recipe, REGISTRY)


@pytest.fixture
def laid_out(found: BundledImage) -> BundledImage:
    """The same in a bundle that has a layout in place of the archive."""
    folder, manifest = found.bundle, manifests.read(found.bundle)
    oci_writing.write([(found.name, stored.find(folder, found.cell))], folder / "oci")
    (folder / IMAGES).unlink()
    entries = tuple(
        File(path=str(path.relative_to(folder)), size_bytes=path.stat().st_size, sha256=checksums.sha256(path))
        for path in sorted((folder / "oci").rglob("*"))
        if path.is_file()
    )
    manifests.write(folder, manifest.model_copy(update={"files": entries}))
    return found


def started(found: BundledImage, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", UNPACK, str(found.bundle)],
        env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(running: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    return out.strip(), err


def left(node: Path) -> list[str]:
    return sorted(each.name for each in node.iterdir() if each.name != ".lock")


def test_a_root_is_unpacked_once(found: BundledImage, node: Path) -> None:
    display = FakeDisplay()
    root = node_images.image_file(found, ImageKind.ROOT, display)
    assert left(node) == [root.name]
    assert root.name.startswith(f"{found.name}-")
    assert {name: len(text) for name, text in files(root).items()} == {"a": 3, "big": 5_000_000}
    before = root.stat().st_ctime_ns
    assert node_images.image_file(found, ImageKind.ROOT, display) == root
    assert root.stat().st_ctime_ns == before
    assert [each.split(": ")[1].split(" ")[0] for each in display.said] == ["made", "present."]


def test_two_nodes_and_two_jobs_on_each_unpack_once_for_each_node(found: BundledImage, node: Path) -> None:
    with node_cache.turn(lambda: None, lambda _: None):
        here = [started(found) for _ in range(2)]
        there = [started(found, SLURMD_NODENAME="n2") for _ in range(2)]
        done_there = [ended(each) for each in there]
        assert left(node) == [], "the turn on this node is the test's own"
    done_here = [ended(each) for each in here]
    for done, name in ((done_here, "n1"), (done_there, "n2")):
        assert {out for out, _ in done} == {str(node.parent / name / left(node)[0])}
        assert "".join(err for _, err in done).count(": made from ") == 1
    assert sum("waiting" in err for _, err in done_here) == 2
    assert files(Path(done_here[0][0])) == files(Path(done_there[0][0]))


@pytest.mark.parametrize("after", [0.2, 0.5, 0.8])
def test_a_job_killed_while_it_unpacks_leaves_nothing_that_counts(
    found: BundledImage, node: Path, after: float
) -> None:
    begun = time.monotonic()
    root, _ = ended(started(found))
    took_s = time.monotonic() - begun
    shutil.rmtree(root)
    running = started(found)
    time.sleep(took_s * after)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)
    assert ended(started(found))[0] == root
    assert left(node) == [Path(root).name]
    assert set(files(Path(root))) == {"a", "big"}


def test_the_bundles_own_layout_is_taken_as_it_is(laid_out: BundledImage, node: Path) -> None:
    check(laid_out.bundle, FakeDisplay())
    assert node_images.image_file(laid_out, ImageKind.OCI, FakeDisplay()) == laid_out.bundle / "oci"
    assert set(files(node_images.image_file(laid_out, ImageKind.ROOT, FakeDisplay()))) == {"a", "big"}


def test_a_layout_is_made_of_an_archive(found: BundledImage, node: Path) -> None:
    layout = node_images.image_file(found, ImageKind.OCI, FakeDisplay())
    assert layout.parent == node
    assert set(oci.manifests(layout)) == {found.name}


@pytest.mark.parametrize("kind", [ImageKind.OCI, ImageKind.ROOT])
def test_a_damaged_layer_of_the_layout_is_refused(laid_out: BundledImage, node: Path, kind: ImageKind) -> None:
    layer = stored.find(laid_out.bundle, laid_out.cell).layers[0].path
    content = bytearray(layer.read_bytes())
    content[-2_000_000] ^= 1
    layer.write_bytes(content)
    with pytest.raises(BundleError, match="damaged") as caught:
        node_images.image_file(laid_out, kind, FakeDisplay())
    assert "Copy it again" in str(caught.value.hint)
    assert left(node) == []
    with pytest.raises(BundleError, match=f"oci/blobs/sha256/{layer.name}: sha256"):
        check(laid_out.bundle, FakeDisplay())


@pytest.mark.parametrize("part", ["index.json", "oci-layout"])
def test_a_layout_that_lacks_a_part_is_refused(laid_out: BundledImage, part: str) -> None:
    (laid_out.bundle / "oci" / part).unlink()
    with pytest.raises(BundleError):
        node_images.image_file(laid_out, ImageKind.OCI, FakeDisplay())
    with pytest.raises(BundleError, match=f"oci/{part}: missing"):
        check(laid_out.bundle, FakeDisplay())


def test_a_layout_with_another_image_than_the_manifests_is_refused(laid_out: BundledImage) -> None:
    manifest = manifests.read(laid_out.bundle)
    other = manifest.cells[0].model_copy(update={"hash": "0" * 12})
    manifests.write(laid_out.bundle, manifest.model_copy(update={"cells": (other,)}))
    with pytest.raises(BundleError) as caught:
        check(laid_out.bundle, FakeDisplay())
    assert f"oci: does not hold {other.name}" in str(caught.value)
    assert f"oci: holds {laid_out.name}, which is no cell of the bundle" in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a disk")
def test_a_full_disk_of_the_node_is_told_and_nothing_is_left(found: BundledImage, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=3m tmpfs "$1" && shift && "$@"; code=$?; ls "$DISK"/*; exit $code'
    unpack = [sys.executable, "-c", UNPACK, str(found.bundle)]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(disk), *unpack],
        env={**os.environ, "MLPERF_DOCKER_NODE_CACHE": str(disk), "DISK": str(disk)},
        text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{disk}/n1/{found.name}" in done.stderr
    assert "cannot be made: No space left on device." in done.stderr
    assert done.stdout == "", "nothing but the lock, which is hidden"
