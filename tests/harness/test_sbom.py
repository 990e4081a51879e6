"""The bill of materials: of a small file system whose contents are known, checked by CycloneDX's own library."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from mlperf_docker.harness import __version__, sbom

PINNED = "nvidia/cuda:13.0.3-base-ubuntu24.04@sha256:" + "a" * 64
WHEEL = "b" * 64
OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
STATUS = """Package: zlib1g
Status: install ok installed
Architecture: amd64
Source: zlib
Version: 1:1.2.13.dfsg-1
Description: compression library
 Version: not a field

Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10~x

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file system with two Debian packages, one of which was removed besides, and two Python distributions."""
    files = {
        "etc/os-release": OS_RELEASE,
        "var/lib/dpkg/status": STATUS,
        "opt/mlperf/cell.json": '{"model": "bert", "backend": "onnxruntime", "device": "cpu"}',
        "opt/mlperf/wheels/common.txt": f"My_Package 1.0+cpu sha256={WHEEL}\n",
        "site/my_package-1.0+cpu.dist-info/METADATA": (
            "Metadata-Version: 2.4\nName: My_Package\nVersion: 1.0+cpu\nLicense-Expression: BSD-3-Clause\n"
        ),
        "site/another-2.dist-info/METADATA": "Metadata-Version: 2.1\nName: another\nVersion: 2\nLicense: free text\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def bill(root: Path, base: str = PINNED) -> dict[str, Any]:
    return sbom.bill(root, [str(root / "site")], base, base.rpartition("@")[2])


def components(bill: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in bill["components"]}


def test_the_bill_names_everything_installed_and_nothing_else(root: Path) -> None:
    found = bill(root)
    assert [(each["type"], each["name"], each["version"]) for each in found["components"]] == [
        ("container", "nvidia/cuda:13.0.3-base-ubuntu24.04", f"sha256:{'a' * 64}"),
        ("application", "mlperf-docker-harness", __version__),
        ("operating-system", "debian", "12"),
        ("library", "libc6", "2.36-9+deb12u10~x"),
        ("library", "zlib1g", "1:1.2.13.dfsg-1"),
        ("library", "another", "2"),
        ("library", "my-package", "1.0+cpu"),
    ]
    assert found["metadata"]["component"]["name"] == "bert:onnxruntime-cpu"
    mine = components(found)["my-package"]
    assert mine["hashes"] == [{"alg": "SHA-256", "content": WHEEL}]
    assert mine["licenses"] == [{"expression": "BSD-3-Clause"}]
    assert not {"hashes", "licenses"} & components(found)["another"].keys(), "what nobody states is not made up"


@pytest.mark.parametrize("base", [PINNED, f"debian:bookworm-slim@sha256:{'c' * 64}", "mlperf-docker/base:bookworm"])
def test_cyclonedx_accepts_it(root: Path, base: str) -> None:
    found = bill(root, base)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(found)) is None
    references = [each["bom-ref"] for each in found["components"]]
    assert len(set(references)) == len(references)
    broken = json.dumps({**found, "components": [{"name": "without a type"}]})
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None, "the validator looks"


def test_package_urls_are_as_their_specification_writes_them(root: Path) -> None:
    purls = [each["purl"] for each in bill(root)["components"] if "purl" in each]
    assert [PackageURL.from_string(each).to_string() for each in purls] == purls
    (base, libc, zlib, _, mine) = map(PackageURL.from_string, purls)
    assert (base.type, base.name, base.version) == ("oci", "cuda", f"sha256:{'a' * 64}")
    assert base.qualifiers == {"repository_url": "nvidia/cuda", "tag": "13.0.3-base-ubuntu24.04"}
    assert (libc.namespace, libc.version) == ("debian", "2.36-9+deb12u10~x")
    assert (zlib.version, zlib.qualifiers) == ("1:1.2.13.dfsg-1", {"arch": "amd64", "distro": "debian-12"})
    assert (mine.name, mine.version) == ("my-package", "1.0+cpu")


def test_a_base_that_no_registry_knows_has_no_package_url(root: Path) -> None:
    assert "purl" not in bill(root, "mlperf-docker/base:bookworm")["components"][0]


def test_equal_contents_give_equal_bytes(root: Path) -> None:
    text = json.dumps(bill(root))
    status = root / "var/lib/dpkg/status"
    zlib, libc, gone = status.read_text().split("\n\n")
    status.write_text("\n\n".join((gone.rstrip(), libc, zlib)))
    assert json.dumps(bill(root)) == text, "whatever the order"
    assert not {"timestamp", "serialNumber"} & {*bill(root), *bill(root)["metadata"]}
