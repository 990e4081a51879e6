"""An OCI layout as other tools read it."""

import gzip
import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from mlperf_docker.bundle import oci
from mlperf_docker.bundle.oci_writing import write
from mlperf_docker.bundle.stored import StoredImage
from mlperf_docker.bundle.unpacking import unpack
from mlperf_docker.errors import BundleError
from tests.bundle.bundles import PROCESS, hard_link, image, packed
from tests.bundle.test_unpacking import files
from tests.fixtures.programs import program

SHARED = packed({"etc": None, "etc/a": b"old", "etc/b": b"hidden", "opt/x": b"deep", "b": hard_link("b", "etc/a")})
UPPER = packed({"etc/a": b"new", "etc/.wh.b": b"", "link": "etc/a"})
OTHER = packed({"other": b"x" * 100_000})


@pytest.fixture
def images(tmp_path: Path) -> list[tuple[str, StoredImage]]:
    return [
        ("one-1", image(tmp_path / "blobs", "test/one:1", [SHARED, UPPER])),
        ("two-2", image(tmp_path / "blobs", "test/two:2", [SHARED, OTHER])),
    ]


@pytest.fixture
def layout(images: list[tuple[str, StoredImage]], tmp_path: Path) -> Path:
    write(images, tmp_path / "oci")
    return tmp_path / "oci"


def output(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def test_every_blob_has_the_name_of_its_checksum_and_a_shared_layer_is_there_once(layout: Path) -> None:
    blobs = list((layout / "blobs/sha256").iterdir())
    assert {each.name for each in blobs} == {hashlib.sha256(each.read_bytes()).hexdigest() for each in blobs}
    assert len(blobs) == 3 + 2 + 2, "layers, configurations, manifests"
    assert set(oci.manifests(layout)) == {"one-1", "two-2"}
    assert sorted(each.name for each in layout.iterdir()) == ["blobs", "index.json", "oci-layout"]


def test_skopeo_reads_it_and_copies_it(layout: Path, tmp_path: Path) -> None:
    skopeo = program("skopeo", "skopeo")
    config = json.loads(output(skopeo, "inspect", "--config", f"oci:{layout}:one-1"))
    assert config["config"] == PROCESS
    assert json.loads(output(skopeo, "inspect", f"oci:{layout}:two-2"))["Architecture"] == "amd64"
    policy = ("--insecure-policy", "copy", "--quiet")
    output(skopeo, *policy, f"oci:{layout}:one-1", f"docker-archive:{tmp_path / 'one.tar'}:test/one:1")
    output(skopeo, *policy, f"oci:{layout}:one-1", f"oci:{tmp_path / 'again'}:one-1")
    again = json.loads(output(skopeo, "inspect", "--config", f"oci:{tmp_path / 'again'}:one-1"))
    assert again["rootfs"] == config["rootfs"], "its layers were compressed, and are the same"


def test_umoci_unpacks_it_to_the_same_files(
    layout: Path, images: list[tuple[str, StoredImage]], tmp_path: Path
) -> None:
    umoci = program("umoci", "umoci")
    for name, found in images:
        output(umoci, "unpack", "--rootless", "--image", f"{layout}:{name}", tmp_path / name)
        unpack(found, tmp_path / f"{name}-root")
        assert files(tmp_path / f"{name}-root") == files(tmp_path / name / "rootfs")
    stat = output(umoci, "stat", "--image", f"{layout}:one-1", "--json")
    assert len(json.loads(stat)["history"]) == 2


def test_a_compressed_layer_is_taken_as_it_is(tmp_path: Path) -> None:
    """As an engine with containerd's store saves it: the configuration has the digest without compression."""
    plain = image(tmp_path / "blobs", "test:1", [UPPER])
    path = plain.layers[0].path
    path.write_bytes(gzip.compress(UPPER))
    found = StoredImage(
        "test:1", plain.config, plain.config_digest, (type(plain.layers[0])(path, 0, path.stat().st_size),)
    )
    found.check()
    write([("one", found)], tmp_path / "oci")
    (layer,) = oci.manifests(tmp_path / "oci")["one"]["layers"]
    assert layer["mediaType"].endswith("tar+gzip")
    unpack(found, tmp_path / "root")
    assert files(tmp_path / "root") == {"etc/a": "new", "link": "-> etc/a"}


def test_a_damaged_layer_is_refused(images: list[tuple[str, StoredImage]], tmp_path: Path) -> None:
    path = images[1][1].layers[1].path
    path.write_bytes(path.read_bytes().replace(b"xxx", b"xyx", 1))
    with pytest.raises(BundleError, match=r"The image test/two:2 in .* is damaged: a layer is sha256"):
        write(images, tmp_path / "oci")
