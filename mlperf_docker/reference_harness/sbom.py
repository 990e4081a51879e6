"""Bill of materials of an image with a reference layer: that of the cell's image, and what the layer brought.

Run at the end of the layer's build, as the harness's own is: `python -m mlperf_docker.reference_harness.sbom`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlperf_docker.contract import places
from mlperf_docker.harness import sbom
from mlperf_docker.reference_contract import places as reference_places
from mlperf_docker.reference_contract.commands import HARNESS

_PYTHON = "pkg:pypi/"
_APART = f"{HARNESS}-venv"


def bill(below: dict[str, Any], packages: Sequence[str], venv: Path, wheels: Path) -> dict[str, Any]:
    """Return the bill of the image *below* with today's Python distributions.

    packages: folders that have them; venv: a virtual environment of the reference's own, if it is there.
    """
    kept = [each for each in below["components"] if not each.get("purl", "").startswith(_PYTHON)]
    found = [_identified(each) for each in sbom.python(packages, wheels)]
    sites = [str(site) for site in sorted(venv.glob("lib/python*/site-packages"))]
    own = [_identified(each, f"{HARNESS}:") for each in sbom.python(sites, wheels)]
    apart = {"bom-ref": _APART, "type": "application", "name": _APART, "components": own}
    subject = below["metadata"]["component"]
    named = {**subject, "name": f"{subject['name']}-{HARNESS}"}
    components = [*kept, *found, *([apart] if own else [])]
    return {**below, "metadata": {**below["metadata"], "component": named}, "components": components}


def _identified(component: dict[str, Any], where: str = "") -> dict[str, Any]:
    return {"bom-ref": f"{where}{component['purl']}", **component}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the bill of the file system that this runs in. The base is that of the image below, whatever is said."""
    parser = argparse.ArgumentParser(description="Print an image's bill of materials, as CycloneDX JSON.")
    parser.add_argument("--base")
    parser.add_argument("--base-identity")
    parser.parse_args(argv)
    home = Path(places.HOME)
    below = json.loads((home / "sbom.cdx.json").read_text(encoding="utf-8"))
    folders = [each for each in sys.path if Path(each).is_absolute()]
    found = bill(below, folders, Path(reference_places.VENV), home / "wheels")
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
