"""Bill of materials of an image, as CycloneDX JSON: `python -m mlperf_docker.harness.sbom`, run at a build's end.

It names what is really installed, found by the installers' own records, and not what was asked for. Equal images give
equal bytes: no time, no serial number, everything sorted. Written with the standard library alone, as an image holds
nothing that only its build needs. Source: CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from mlperf_docker.contract import places
from mlperf_docker.harness import __version__

Component = dict[str, Any]

_INSTALLED = "install ok installed"


def bill(root: Path, packages: Sequence[str], base: str, base_identity: str) -> dict[str, Any]:
    """Return the bill of materials of the file system at *root*.

    packages: folders with Python distributions; base: what the image stands on, and base_identity: its digest or id.
    """
    home = root / places.HOME.removeprefix("/")
    cell = json.loads((home / PurePosixPath(places.CELL).name).read_text(encoding="utf-8"))
    name = f"{cell['model']}:{cell['backend']}-{cell['device']}"
    components = [
        _base(base, base_identity),
        {"type": "application", "name": "mlperf-docker-harness", "version": __version__, **_licence("Apache-2.0")},
        *debian(root),
        *python(packages, home / "wheels"),
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _identified({"type": "container", "name": name, "version": __version__})},
        "components": [_identified(each) for each in components],
    }


def debian(root: Path) -> Iterator[Component]:
    """Yield the operating system and the packages that dpkg has installed below *root*, sorted by name."""
    system = dict(
        line.split("=", 1) for line in (root / "etc/os-release").read_text(encoding="utf-8").splitlines() if "=" in line
    )
    release = {key: value.strip('"') for key, value in system.items()}
    yield {"type": "operating-system", "name": release["ID"], "version": release.get("VERSION_ID", "")}
    distro = f"{release['ID']}-{release.get('VERSION_ID', 'sid')}"
    status = (root / "var/lib/dpkg/status").read_text(encoding="utf-8", errors="replace")
    for fields in sorted(installed(status), key=lambda each: (each["Package"], each["Architecture"])):
        name, version, architecture = (fields[key] for key in ("Package", "Version", "Architecture"))
        purl = f"pkg:deb/{release['ID']}/{quote(name)}@{_quoted(version)}?arch={architecture}&distro={distro}"
        yield {"type": "library", "name": name, "version": version, "purl": purl}


def installed(status: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each installed package in the text of dpkg's status file; those that go on are left out."""
    for paragraph in status.split("\n\n"):
        lines = [line.partition(": ") for line in paragraph.splitlines() if not line.startswith((" ", "\t"))]
        fields = {key: value for key, _, value in lines}
        if fields.get("Status") == _INSTALLED:
            yield fields


def python(packages: Iterable[str], wheels: Path) -> Iterator[Component]:
    """Yield the Python distributions in the folders *packages*, each with the hash of the wheel that it came in.

    wheels: a folder of text files with lines of name, version and `sha256=…`, which the build wrote.
    """
    known = {
        (canonical(name), version): digest.partition("=")[2]
        for file in sorted(wheels.glob("*.txt"))
        for name, version, digest in map(str.split, file.read_text(encoding="utf-8").splitlines())
    }
    found = distributions(path=list(packages))
    for each in sorted(found, key=lambda each: (canonical(each.metadata["Name"]), each.version)):
        name = canonical(each.metadata["Name"])
        digest = known.get((name, each.version))
        yield {
            "type": "library",
            "name": name,
            "version": each.version,
            **({"hashes": [{"alg": "SHA-256", "content": digest}]} if digest else {}),
            **_licence(_expression(each)),
            "purl": f"pkg:pypi/{quote(name)}@{_quoted(each.version)}",
        }


def canonical(name: str) -> str:
    """Return a distribution's name in the one spelling that PEP 503 gives it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _expression(distribution: Distribution) -> str:
    """Return the licence as an SPDX expression, where the distribution states one; free text is none."""
    return str(distribution.metadata.json.get("license_expression") or "")


def _licence(expression: str) -> Component:
    return {"licenses": [{"expression": expression}]} if expression else {}


def _base(reference: str, identity: str) -> Component:
    """Return the base image. Its digest has a package URL where a registry knows the image by it."""
    named, _, digest = reference.partition("@")
    repository, _, tag = named.rpartition(":")
    place = f"repository_url={repository}&" if "/" in repository else ""
    purl = f"pkg:oci/{repository.rpartition('/')[2]}@{_quoted(digest)}?{place}tag={tag}"
    return {"type": "container", "name": named, "version": identity, **({"purl": purl} if digest and tag else {})}


def _quoted(version: str) -> str:
    """Return a version as a package URL has it, which leaves colons as they are. Source: purl-spec."""
    return quote(version, safe=":")


def _identified(component: Component) -> Component:
    """Return *component* with a reference that no other has: its package URL, else its kind, name and version."""
    reference = component.get("purl") or f"{component['type']}:{component['name']}@{component['version']}"
    return {"bom-ref": reference, **component}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the bill of materials of this image."""
    parser = argparse.ArgumentParser(prog="mlperf_docker.harness.sbom", description="Print the image's SBOM.")
    parser.add_argument("--base", required=True, metavar="IMAGE", help="what the image stands on")
    parser.add_argument("--base-identity", required=True, metavar="DIGEST", help="the base's digest, or its id")
    options = parser.parse_args(arguments)
    # The harness's own folder is on the path too, and has no distributions.
    folders = [each for each in sys.path if Path(each).is_absolute()]
    found = bill(Path("/"), folders, options.base, options.base_identity or options.base)
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
