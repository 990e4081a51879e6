"""Parser of hash-locked requirements files, and their split into the layers of an image. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from mlperf_docker.catalog.requirement_names import canonical
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.errors import UsageError
from mlperf_docker.recipe import platform

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)(?P<marker>\s*;[^\\]+)?\s*\\?$")
_HASH = re.compile(r"^\s+--hash=(?P<hash>sha256:[0-9a-f]{64})\s*\\?$")
_VIA = re.compile(r"^\s+#\s+(?:via(?:\s+|$))?(?P<parent>\S.*)?$")
_AGAIN = "Write it again with: mlperf-docker lock"
_NARROW = "Name versions in images.yaml that are for every Python there, or fewer Pythons; then: mlperf-docker lock"
# What pip finds in an image. Source: packaging.python.org, "Dependency specifiers", environment markers.
_IMAGE = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": platform.IMAGES.machine,
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "sys_platform": "linux",
}


@dataclass(frozen=True)
class Pin:
    """Locked distribution."""

    name: str
    version: str
    marker: str
    """Environments that need it, as ` ; python_full_version < '3.12'`; empty for all."""
    hashes: tuple[str, ...]
    parents: frozenset[str]
    """Canonical names of the distributions that need it; empty for a root."""

    def __str__(self) -> str:
        """Return it as pip reads it."""
        lines = [f"{self.name}=={self.version}{self.marker}", *(f"    --hash={digest}" for digest in self.hashes)]
        return " \\\n".join(lines)

    def is_for(self, python: str) -> bool:
        """Tell whether it is installed beside *python*, "3.11", in an image: by CPython on the images' platform."""
        if not self.marker:
            return True
        from packaging.markers import Marker  # few pins have one

        return Marker(self.marker.strip().removeprefix(";")).evaluate({**_IMAGE, **_python(python)})


COMMON, BACKEND = "common", "backend"
"""Layers that all images have, and all of a backend and device."""


@lru_cache(maxsize=16)  # the images of a backend and device have one lock
def parse(text: str) -> Mapping[str, Pin]:
    """Return canonical name → pin from what `uv pip compile --generate-hashes` wrote.

    Raises UsageError for a line that is none of pin, hash and comment, for a pin without a hash, and for a distribution
    that is locked twice: whichever Python a base has, there is one version of each.
    """
    blocks: list[tuple[re.Match[str], list[str], set[str]]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if pin := _PIN.match(line):
            blocks.append((pin, [], set()))
        elif (digest := _HASH.match(line)) and blocks:
            blocks[-1][1].append(digest["hash"])
        elif (via := _VIA.match(line)) and blocks:
            blocks[-1][2].add(via["parent"] or "-")
        elif line.strip() and not line.lstrip().startswith("#"):
            raise UsageError(f"The lock cannot be read: line {number}: {line.strip()!r}", hint=_AGAIN)
    pins = [_pin(*block) for block in blocks]
    seen = Counter(canonical(pin.name) for pin in pins)
    if twice := sorted(str(pin).partition(" \\")[0] for pin in pins if seen[canonical(pin.name)] > 1):
        raise UsageError(f"The lock has more than one version of a package: {', '.join(twice)}.", hint=_NARROW)
    return MappingProxyType({canonical(pin.name): pin for pin in pins})


def _python(version: str) -> dict[str, str]:
    return {"python_version": version, "python_full_version": f"{version}.0", "implementation_version": f"{version}.0"}


def _pin(match: re.Match[str], hashes: list[str], parents: set[str]) -> Pin:
    if not hashes:
        raise UsageError(f"The lock has no hash for {match['name']}=={match['version']}.", hint=_AGAIN)
    names = frozenset(canonical(parent) for parent in parents if not parent.startswith("-"))
    marker = (match["marker"] or "").rstrip()
    return Pin(match["name"], match["version"], marker, tuple(hashes), names)


def closure(pins: Mapping[str, Pin], roots: Iterable[str]) -> set[str]:
    """Return the canonical names of *roots* and of everything they need. Raises UsageError for a root without a pin."""
    wanted = {canonical(root) for root in roots}
    if missing := sorted(wanted - pins.keys()):
        raise UsageError(f"The lock has no {', '.join(missing)}, which images.yaml asks for.", hint=_AGAIN)
    reached: set[str] = set()
    while wanted:
        reached |= wanted
        wanted = {name for name, pin in pins.items() if pin.parents & wanted} - reached
    return reached


def model_layers(spec: ImageSpec) -> dict[str, str]:
    """Return layer → requirement for what the model of *spec* asks for itself, in its order.

    Each has a layer of its own, named after it: a large library that two models ask for is in their images once.
    """
    return {canonical(requirement): requirement for requirement in spec.model_requirements}


def layers(spec: ImageSpec) -> dict[str, tuple[str, ...]]:
    """Return layer → the requirements it is made for, slowest to change first."""
    found: dict[str, tuple[str, ...]] = {COMMON: spec.common_requirements, BACKEND: spec.backend_requirements}
    return found | {layer: (requirement,) for layer, requirement in model_layers(spec).items()}


def split(lock: str, spec: ImageSpec) -> dict[str, tuple[Pin, ...]]:
    """Return layer → pins of *spec* out of its backend's lock, slowest to change first; a layer's pins by name.

    None repeats what an earlier one has. Packages of other models are left out, and so are the parents of a pin: what
    another model brings in changes nothing here.
    """
    pins = parse(lock)
    below: set[str] = set()
    found = {}
    for layer, wanted in layers(spec).items():
        names = closure(pins, wanted) - below
        found[layer] = tuple(replace(pins[name], parents=frozenset()) for name in sorted(names))
        below |= names
    return found
