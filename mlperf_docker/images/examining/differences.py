"""Differences between an image and its spec, labels and SBOM. Pure: each check yields what it finds."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mlperf_docker.catalog.requirement_names import canonical
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine.filesystem import FileKind
from mlperf_docker.errors import UsageError
from mlperf_docker.images.examining.contents import BYTECODE, HOME, REQUIREMENTS, SBOM, VENV, WHEELS, Contents
from mlperf_docker.names import LABEL
from mlperf_docker.recipe import left_out, requirements
from mlperf_docker.recipe.build_inputs import BuildInputs
from mlperf_docker.recipe.layout import LAYOUT
from mlperf_docker.recipe.origin import Origin
from mlperf_docker.recipe.recipe import Recipe

_HARNESS = "harness/"
# What `python3 -m venv` makes itself, beside the distributions.
_OF_THE_VENV = re.compile(rf"{VENV}/(pyvenv\.cfg|\.gitignore|bin/([Aa]ctivate(\.\w+)?))")
_BUILDS_OWN = (f"{REQUIREMENTS}/", f"{WHEELS}/", f"{BYTECODE}/")
_LEFT_OUT = re.compile(rf"usr/share/({'|'.join(LAYOUT.debian_without)})/")
_TAG_HASH = re.compile(r"-([0-9a-f]{12})$")


class DifferenceKind(StrEnum):
    """Subject of a difference."""

    HASH = "hash"
    LABEL = "label"
    SETTING = "setting"
    LOCK = "lock"
    PYTHON = "python"
    DEBIAN = "debian"
    HARNESS = "harness"
    FILE = "file"
    SBOM = "sbom"


@dataclass(frozen=True)
class Difference:
    """Deviation of an image from its recipe."""

    kind: DifferenceKind
    subject: str
    words: str
    """Description for people, without the subject."""
    expected: str | None = None
    """Expected value; None if there should be none."""
    found: str | None = None
    """Found value; None if there is none."""

    def __str__(self) -> str:
        return f"{self.subject}: {self.words}"

    def fields(self) -> dict[str, str | None]:
        """The same for programs."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "expected": self.expected,
            "found": self.found,
            "text": str(self),
        }


@dataclass(frozen=True)
class Examined:
    """An image with everything that is known of it."""

    tags: tuple[str, ...]
    labels: Mapping[str, str]
    config: Mapping[str, Any]
    """The engine's description of how it is run."""
    contents: Contents


def differences(recipe: Recipe, image: Examined) -> Iterator[Difference]:
    """Yield everything in which *image* differs from what *recipe*, as it is today, gives."""
    spec, inputs = recipe.spec, recipe.all_inputs
    yield from _hashes(recipe, image)
    yield from _labels(recipe, image.labels)
    yield from _settings(recipe, image.config)
    yield from _locks(inputs, image.contents)
    yield from _python(inputs, image.contents)
    yield from _harness(inputs, image.contents)
    yield from _files_of_python(spec, image.contents)
    yield from _bytecode(image.contents)
    yield from _files_of_debian(image.contents)
    yield from _sbom(image)


def _hashes(recipe: Recipe, image: Examined) -> Iterator[Difference]:
    """Compare the hash of today's sources, on the image's own base, with its label's, and that with its tags'."""
    found = image.labels.get(f"{LABEL}.hash")
    today = recipe.content(image.labels.get(f"{LABEL}.base.identity", ""))
    if found != today:
        words = f"the image was made from {found or 'unknown sources'}, today's sources give {today}"
        yield Difference(DifferenceKind.HASH, "sources", words, today, found)
    for tag in image.tags:
        match = _TAG_HASH.search(tag)
        if match and found and match[1] != found:
            yield Difference(DifferenceKind.HASH, tag, f"the image of this name was made from {found}", match[1], found)


def _labels(recipe: Recipe, labels: Mapping[str, str]) -> Iterator[Difference]:
    """Compare the labels with those that a build would write; where the image comes from, only itself can tell."""
    version, _, _ = labels.get("org.opencontainers.image.version", "").rpartition("-")
    origin = Origin(
        base_reference=labels.get(f"{LABEL}.base", ""),
        base_identity=labels.get(f"{LABEL}.base.identity", ""),
        base_origin=labels.get(f"{LABEL}.base.origin", ""),
        revision=labels.get("org.opencontainers.image.revision", ""),
        version=version,
    )
    wanted = recipe.labels(origin, labels.get(f"{LABEL}.hash", ""))
    for key, value in wanted.items():
        found = labels.get(key)
        if found != value or not value:
            words = f"should be {value!r}, is {found!r}" if found is not None else f"missing; should be {value!r}"
            yield Difference(DifferenceKind.LABEL, key, words, value, found)


def _settings(recipe: Recipe, config: Mapping[str, Any]) -> Iterator[Difference]:
    """Compare how the image is run with its layout: user, entry point, working folder and environment."""
    wanted: dict[str, Any] = {
        "User": LAYOUT.user,
        "WorkingDir": LAYOUT.working_folder,
        "Entrypoint": list(recipe.entry_point),
        "Cmd": None,
    }
    for key, value in wanted.items():
        if (config.get(key) or None) != value:
            words = f"should be {value!r}, is {config.get(key)!r}"
            yield Difference(DifferenceKind.SETTING, key, words, json.dumps(value), json.dumps(config.get(key)))
    found = dict(each.split("=", 1) for each in config.get("Env") or ())
    for name, value in {**LAYOUT.environment, **recipe.spec.environment}.items():
        beginning, _, rest = value.partition("${")
        if not found.get(name, "").startswith(beginning) or (not rest and found[name] != value):
            words = f"should be {value!r}, is {found.get(name)!r}"
            yield Difference(DifferenceKind.SETTING, name, words, value, found.get(name))


def _locks(inputs: BuildInputs, contents: Contents) -> Iterator[Difference]:
    """Compare the requirements in the image with today's, pin by pin."""
    for layer in inputs.layers:
        name = f"{layer.name}.txt"
        text = contents.files.text(f"{REQUIREMENTS}/{name}")
        if text == layer.requirements.decode():
            continue
        if text is None:
            yield Difference(DifferenceKind.LOCK, f"requirements/{name}", "not in the image", found=None)
            continue
        today, there = {canonical(pin.name): pin for pin in layer.pins}, _pins(text)
        changed = [name for name in sorted(today.keys() | there.keys()) if today.get(name) != there.get(name)]
        yield from (_pin_difference(name, today.get(name), there.get(name)) for name in changed)
        if not changed:
            yield Difference(DifferenceKind.LOCK, f"requirements/{name}", "other text than today's, with the same pins")


def _pins(text: str) -> Mapping[str, requirements.Pin]:
    try:
        return requirements.parse(text)
    except UsageError:
        return {}


def _pin_difference(package: str, today: requirements.Pin | None, there: requirements.Pin | None) -> Difference:
    expected, found = (each.version if each else None for each in (today, there))
    if expected == found:
        words = f"other hashes are locked for {found} in the image"
    else:
        words = f"locked {expected or 'not at all'} today, {found or 'not at all'} in the image"
    return Difference(DifferenceKind.LOCK, package, words, expected, found)


def _python(inputs: BuildInputs, contents: Contents) -> Iterator[Difference]:
    """Compare what is installed with what is locked for its Python, by version, and by the wheel that it came in."""
    pins = {
        canonical(pin.name): pin
        for layer in inputs.layers
        for pin in layer.pins
        if not layer.apart
        if not contents.python or pin.is_for(contents.python)
    }
    wheels = contents.wheels()
    for name in sorted(pins.keys() | contents.distributions.keys()):
        locked = pins[name].version if name in pins else None
        found = contents.distributions[name].version if name in contents.distributions else None
        if locked != found:
            words = f"{f'locked {locked}' if locked else 'not locked'}, {f'installed {found}' if found else 'missing'}"
            yield Difference(DifferenceKind.PYTHON, name, words, locked, found)
        elif found and wheels.get((name, found)) not in pins[name].hashes:
            wheel = wheels.get((name, found))
            words = f"came in a wheel that is not locked: {wheel}" if wheel else "nothing tells which wheel it came in"
            yield Difference(DifferenceKind.PYTHON, name, words, None, wheel)


def _harness(inputs: BuildInputs, contents: Contents) -> Iterator[Difference]:
    """Compare the harness file by file with today's."""
    wanted = {
        f"{HOME}/{file.path.removeprefix(_HARNESS)}": hashlib.sha256(file.data).hexdigest()
        for file in inputs.files
        if file.path.startswith(_HARNESS)
    }
    entries = contents.files.entries
    for path, digest in wanted.items():
        yield from _changed(DifferenceKind.HARNESS, path, digest, contents)
    known = {*wanted, SBOM, *contents.bytecode}
    for path in _entries_below(contents, HOME):
        if path not in known and not path.startswith(_BUILDS_OWN):
            yield Difference(
                DifferenceKind.HARNESS, f"/{path}", "not a file of the harness", None, entries[path].sha256
            )


def _files_of_python(spec: ImageSpec, contents: Contents) -> Iterator[Difference]:
    """Compare every file in the virtual environment with its installer's record, less what is left out on purpose."""
    recorded: set[str] = set()
    unwanted = re.compile(rf"{VENV}/lib/[^/]+/site-packages/({left_out.of_image(spec)})/")
    for distribution in contents.distributions.values():
        wanted = {path: digest for path, digest in distribution.files.items() if not unwanted.match(path)}
        recorded |= wanted.keys()
        for path, digest in wanted.items():
            yield from _changed(DifferenceKind.FILE, path, digest, contents, f" of {distribution.name}")
    for path in _entries_below(contents, VENV):
        if path not in recorded and path not in contents.bytecode and not _OF_THE_VENV.fullmatch(path):
            yield Difference(
                DifferenceKind.FILE, f"/{path}", "belongs to no package", None, contents.files.entries[path].sha256
            )


def _bytecode(contents: Contents) -> Iterator[Difference]:
    """Compare the byte code with what the build made: it is what runs, whatever its source says by now."""
    if not contents.bytecode:
        yield Difference(DifferenceKind.FILE, f"/{BYTECODE}", "nothing tells which byte code the build made")
    for path, digest in contents.bytecode.items():
        yield from _changed(DifferenceKind.FILE, path, digest, contents, " of byte code")


def _files_of_debian(contents: Contents) -> Iterator[Difference]:
    """Compare every file that dpkg has a checksum of."""
    for package, path, digest in contents.debian_files():
        entry = contents.files.entries.get(path)
        if entry is None and not _LEFT_OUT.match(path):
            yield Difference(DifferenceKind.FILE, f"/{path}", f"a file of {package} is missing", digest, None)
        elif entry is not None and entry.kind is FileKind.FILE and entry.md5 != digest:
            yield Difference(DifferenceKind.FILE, f"/{path}", f"a file of {package} was changed", digest, entry.md5)


def _changed(
    kind: DifferenceKind, path: str, digest: str | None, contents: Contents, owner: str = ""
) -> Iterator[Difference]:
    """Yield what is wrong with the file at *path*; *digest*: its sha256, None where only its presence is known."""
    entry = contents.files.entries.get(contents.files.resolve(path))
    if entry is None:
        yield Difference(kind, f"/{path}", f"a file{owner} is missing", digest, None)
    elif digest and entry.sha256 != digest:
        yield Difference(kind, f"/{path}", f"a file{owner} was changed", digest, entry.sha256)


def _entries_below(contents: Contents, folder: str) -> Iterator[str]:
    """Yield the paths of the files below *folder*."""
    entries = contents.files.entries
    return (path for path in sorted(entries) if path.startswith(f"{folder}/") and entries[path].kind is FileKind.FILE)


def _sbom(image: Examined) -> Iterator[Difference]:
    """Compare the bill of materials with what is installed, and with the base that the labels name."""
    bill = image.contents.sbom
    if bill is None:
        yield Difference(DifferenceKind.SBOM, f"/{SBOM}", "there is no bill of materials that can be read", None, None)
        return
    installed = {name: each.version for name, each in image.contents.distributions.items()}
    yield from _listed("pkg:pypi/", bill["components"], installed)
    yield from _listed("pkg:deb/", bill["components"], image.contents.debian)
    wanted = image.labels.get(f"{LABEL}.base.identity")
    found = next((each.get("version") for each in bill["components"] if each.get("type") == "container"), None)
    if found != wanted:
        yield Difference(
            DifferenceKind.SBOM, "base image", f"the SBOM says {found}, the label says {wanted}", wanted, found
        )


def _listed(kind: str, components: list[dict[str, Any]], installed: Mapping[str, str]) -> Iterator[Difference]:
    """Compare the components whose package URL begins with *kind* with name → version of what is installed."""
    listed = {
        str(each.get("name")): str(each.get("version"))
        for each in components
        if str(each.get("purl", "")).startswith(kind)
    }
    for name in sorted(listed.keys() | installed.keys()):
        says, found = listed.get(name), installed.get(name)
        if says != found:
            listing = f"the SBOM says {says}" if says else "not in the SBOM"
            words = f"{listing}, {f'installed {found}' if found else 'not installed'}"
            yield Difference(DifferenceKind.SBOM, name, words, says, found)
