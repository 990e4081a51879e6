"""Checks of `verify`, one by one, on an image that exists only as a table of its files."""

import base64
import dataclasses
import hashlib
import io
import json
import tarfile
from typing import Any

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.requirement_names import canonical
from mlperf_docker.engine.filesystem import read_archive
from mlperf_docker.images.examining.contents import HOME, SBOM, Contents, is_wanted
from mlperf_docker.images.examining.differences import Difference, DifferenceKind, Examined, differences
from mlperf_docker.names import LABEL
from mlperf_docker.recipe import render, requirements
from mlperf_docker.recipe.origin import Origin
from mlperf_docker.system.paths import assets

SPEC = next(spec for spec in Catalog.load(assets() / "images.yaml").specs if str(spec) == "resnet50:onnxruntime-cpu")
RECIPE = render.recipe_of(SPEC)
INPUTS = RECIPE.inputs
SITE = "opt/venv/lib/python3.11/site-packages"
BYTECODE = f"{HOME}/bytecode/backend.sha256"
BASE = f"sha256:{'b' * 64}"
PINS = {canonical(pin.name): pin for layer in INPUTS.layers for pin in layer.pins}
TAG = f"mlperf-docker/resnet50:onnxruntime-cpu-{RECIPE.content(BASE)}"
CONFIG = {
    "User": "65532:65532",
    "WorkingDir": "/results",
    "Entrypoint": ["/opt/venv/bin/python", "-m", "mlperf_docker.harness"],
    "Cmd": None,
    "Env": [
        "PATH=/opt/venv/bin:/usr/bin:/bin",
        "HOME=/tmp",
        "MALLOC_MMAP_MAX_=0",
        "MALLOC_TRIM_THRESHOLD_=1099511627776",
        "MLPERF_CELL=/opt/mlperf/cell.json",
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONPATH=/opt/mlperf",
        "ORT_DISABLE_TELEMETRY=1",
    ],
}


def labels() -> dict[str, str]:
    origin = Origin("base:1", BASE, "given", "unknown", "0.1.0")
    return RECIPE.labels(origin)


def files() -> dict[str, bytes]:
    """The files of an image that is as it should be, with one Debian package that has one program."""
    found = {
        f"{HOME}/{each.path.removeprefix('harness/')}": each.data
        for each in INPUTS.files
        if each.path.startswith("harness/")
    }
    found |= {f"{HOME}/requirements/{layer.name}.txt": layer.requirements for layer in INPUTS.layers}
    wheels = [f"{pin.name} {pin.version} {pin.hashes[-1].replace(':', '=')}\n" for pin in PINS.values()]
    found[f"{HOME}/wheels/all.txt"] = "".join(wheels).encode()
    found["opt/venv/pyvenv.cfg"] = found["opt/venv/.gitignore"] = b""  # the latter since Python 3.13
    found[BYTECODE] = "".join(f"{_sha256(name.encode())}  /{_pyc(name)}\n" for name in PINS).encode()
    components: list[dict[str, Any]] = [{"type": "container", "name": "base:1", "version": BASE}]
    for name, pin in PINS.items():
        info = f"{SITE}/{name}-{pin.version}.dist-info"
        found[f"{SITE}/{name}.py"] = found[_pyc(name)] = name.encode()
        found[f"{info}/METADATA"] = f"Name: {pin.name}\nVersion: {pin.version}\n".encode()
        found[f"{info}/RECORD"] = (
            f"{name}.py,{_digest(name.encode())},1\n{name}-{pin.version}.dist-info/METADATA,,\n"
            f"{name}-{pin.version}.dist-info/RECORD,,\n"
        ).encode()
        components.append({"name": name, "version": pin.version, "purl": f"pkg:pypi/{name}@{pin.version}"})
    found["usr/bin/gzip"] = b"program"
    found["var/lib/dpkg/status"] = b"Package: gzip\nStatus: install ok installed\nVersion: 1.12-1\n"
    found["var/lib/dpkg/info/gzip.md5sums"] = (
        f"{hashlib.md5(b'program', usedforsecurity=False).hexdigest()}  bin/gzip\n"
        f"{'0' * 32}  usr/share/doc/gzip/left-out\n"
    ).encode()
    components.append({"name": "gzip", "version": "1.12-1", "purl": "pkg:deb/debian/gzip@1.12-1"})
    found[SBOM] = json.dumps({"components": components}).encode()
    return found


def _pyc(module: str) -> str:
    return f"{SITE}/__pycache__/{module}.cpython-311.pyc"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest(data: bytes) -> str:
    return f"sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()}"


def found(
    changes: dict[str, bytes | None] | None = None, *, config: dict[str, Any] | None = None, **about: Any
) -> list[Difference]:
    """Return what is found of that image with *changes* to its files: path → content, or None to remove it."""
    facts: dict[str, Any] = {"tags": (TAG,), "labels": labels(), "config": {**CONFIG, **(config or {})}, **about}
    return list(differences(RECIPE, Examined(contents=contents(changes or {}), **facts)))


def contents(changes: dict[str, bytes | None]) -> Contents:
    return Contents(read_archive(io.BytesIO(archived(changes)), is_wanted))


def archived(changes: dict[str, bytes | None]) -> bytes:
    """That image's file system as a tar, as an engine exports it."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        link = tarfile.TarInfo("bin")
        link.type, link.linkname = tarfile.SYMTYPE, "usr/bin"
        tar.addfile(link)
        for path, data in {**files(), **changes}.items():
            if data is not None:
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return archive.getvalue()


def test_an_image_as_it_should_be_has_none() -> None:
    assert found() == []


def test_a_requirement_of_another_python_may_be_missing() -> None:
    *below, last = INPUTS.layers

    def missing(marker: str) -> list[str]:
        extra = requirements.Pin("extra", "1", f" ; {marker}", (f"sha256:{'e' * 64}",), frozenset())
        more = dataclasses.replace(last, pins=(*last.pins, extra))
        inputs = dataclasses.replace(INPUTS, layers=(*below, more))
        recipe = dataclasses.replace(RECIPE, inputs=inputs)
        image = Examined(
            (TAG,), labels(), CONFIG, contents({f"{HOME}/requirements/{last.name}.txt": more.requirements})
        )
        return [each.subject for each in differences(recipe, image) if each.kind is DifferenceKind.PYTHON]

    assert missing("python_version >= '3.12'") == []
    assert missing("python_version < '3.12'") == ["extra"]


NUMPY = PINS["numpy"]
OPENCV = "opencv-python-headless"
OTHER_WHEEL = f"sha256={'f' * 64}"


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({SBOM: None}, DifferenceKind.SBOM, f"/{SBOM}: there is no bill of materials that can be read"),
        ({SBOM: b"{}"}, DifferenceKind.SBOM, f"/{SBOM}: there is no bill of materials that can be read"),
        (
            {f"{HOME}/requirements/{OPENCV}.txt": None},
            DifferenceKind.LOCK,
            f"requirements/{OPENCV}.txt: not in the image",
        ),
        (
            {f"{HOME}/requirements/common.txt": b"numpy==1.0 \\\n    --hash=sha256:" + b"0" * 64},
            DifferenceKind.LOCK,
            f"numpy: locked {NUMPY.version} today, 1.0 in the image",
        ),
        (
            {
                f"{HOME}/wheels/all.txt": files()[f"{HOME}/wheels/all.txt"]
                + f"numpy {NUMPY.version} {OTHER_WHEEL}\n".encode()
            },
            DifferenceKind.PYTHON,
            f"numpy: came in a wheel that is not locked: sha256:{'f' * 64}",
        ),
        (
            {f"{HOME}/requirements/{OPENCV}.txt": files()[f"{HOME}/requirements/{OPENCV}.txt"] + b"# mine\n"},
            DifferenceKind.LOCK,
            f"requirements/{OPENCV}.txt: other text than today's, with the same pins",
        ),
        (
            {f"{SITE}/numpy-{NUMPY.version}.dist-info/RECORD": b"numpy.py,sha256=x,1\nhalf a line\n"},
            DifferenceKind.FILE,
            f"/{SITE}/numpy.py: a file of numpy was changed",
        ),
        (
            {f"{HOME}/wheels/all.txt": b"numpy\n\n"},
            DifferenceKind.PYTHON,
            "numpy: nothing tells which wheel it came in",
        ),
        (
            {SBOM: b'{"components": [{"purl": "pkg:pypi/numpy@1"}]}'},
            DifferenceKind.SBOM,
            f"numpy: not in the SBOM, installed {NUMPY.version}",
        ),
        ({f"{SITE}/numpy.py": b"other"}, DifferenceKind.FILE, f"/{SITE}/numpy.py: a file of numpy was changed"),
        ({f"{SITE}/numpy.py": None}, DifferenceKind.FILE, f"/{SITE}/numpy.py: a file of numpy is missing"),
        ({f"{SITE}/stray.py": b""}, DifferenceKind.FILE, f"/{SITE}/stray.py: belongs to no package"),
        (
            {f"{SITE}/__pycache__/stray.pyc": b""},
            DifferenceKind.FILE,
            f"/{SITE}/__pycache__/stray.pyc: belongs to no package",
        ),
        ({_pyc("numpy"): b"other"}, DifferenceKind.FILE, f"/{_pyc('numpy')}: a file of byte code was changed"),
        ({_pyc("numpy"): None}, DifferenceKind.FILE, f"/{_pyc('numpy')}: a file of byte code is missing"),
        ({BYTECODE: None}, DifferenceKind.FILE, f"/{HOME}/bytecode: nothing tells which byte code the build made"),
        ({"opt/venv/bin/stray": b""}, DifferenceKind.FILE, "/opt/venv/bin/stray: belongs to no package"),
        ({"usr/bin/gzip": b"other"}, DifferenceKind.FILE, "/usr/bin/gzip: a file of gzip was changed"),
        ({"usr/bin/gzip": None}, DifferenceKind.FILE, "/usr/bin/gzip: a file of gzip is missing"),
        ({f"{HOME}/cell.json": b"{}"}, DifferenceKind.HARNESS, f"/{HOME}/cell.json: a file was changed"),
        ({f"{HOME}/stray": b""}, DifferenceKind.HARNESS, f"/{HOME}/stray: not a file of the harness"),
        (
            {"var/lib/dpkg/status": b"Package: gzip\nStatus: install ok installed\nVersion: 2\n"},
            DifferenceKind.SBOM,
            "gzip: the SBOM says 1.12-1, installed 2",
        ),
    ],
)
def test_each_change_of_a_file_is_named(changes: dict[str, bytes | None], kind: DifferenceKind, text: str) -> None:
    assert (kind, text) in [(each.kind, str(each)) for each in found(changes)]


def test_folders_that_are_left_out_are_not_missing_but_a_difference_if_there() -> None:
    record = f"{SITE}/numpy-{NUMPY.version}.dist-info/RECORD"
    left = files()[record] + b"numpy/tests/__init__.py,,\nnumpy/lib/tests/a.py,,\nnumpy/lib/attests/b.py,,\n"
    assert [str(each) for each in found({record: left})] == [
        f"/{SITE}/numpy/lib/attests/b.py: a file of numpy is missing"
    ]
    there: dict[str, bytes | None] = {
        record: left,
        f"{SITE}/numpy/lib/tests/a.py": b"",
        f"{SITE}/numpy/lib/attests/b.py": b"",
    }
    assert [str(each) for each in found(there)] == [f"/{SITE}/numpy/lib/tests/a.py: belongs to no package"]


def test_one_changed_file_is_one_difference() -> None:
    (difference,) = found({f"{SITE}/numpy.py": b"other"})
    assert difference.fields() == {
        "kind": "file",
        "subject": f"/{SITE}/numpy.py",
        "expected": hashlib.sha256(b"numpy").hexdigest(),
        "found": hashlib.sha256(b"other").hexdigest(),
        "text": f"/{SITE}/numpy.py: a file of numpy was changed",
    }


def test_a_label_that_was_changed_or_is_missing() -> None:
    kept = {key: value for key, value in labels().items() if not key.endswith("image.title")}
    changed = found(labels={**kept, f"{LABEL}.versions.numpy": "1"})
    assert {each.subject: (each.kind, each.found) for each in changed} == {
        "org.opencontainers.image.title": (DifferenceKind.LABEL, None),
        f"{LABEL}.versions.numpy": (DifferenceKind.LABEL, "1"),
    }


def test_another_base_gives_another_hash_and_another_bill() -> None:
    changed = found(labels={**labels(), f"{LABEL}.base.identity": f"sha256:{'c' * 64}"})
    assert {each.kind for each in changed} == {DifferenceKind.HASH, DifferenceKind.LABEL, DifferenceKind.SBOM}


def test_a_name_that_promises_another_hash() -> None:
    (difference,) = found(tags=("x/resnet50:onnxruntime-cpu-0123456789ab", "x/resnet50:onnxruntime-cpu"))
    assert (difference.kind, difference.expected) == (DifferenceKind.HASH, "0123456789ab")


@pytest.mark.parametrize(
    ("config", "subject"),
    [
        ({"User": "0"}, "User"),
        ({"Entrypoint": ["sh"]}, "Entrypoint"),
        ({"Cmd": ["run"]}, "Cmd"),
        ({"WorkingDir": "/"}, "WorkingDir"),
        ({"Env": ["PATH=/evil:/opt/venv/bin", *CONFIG["Env"][1:]]}, "PATH"),  # type: ignore[index]
        ({"Env": [*CONFIG["Env"][:-1], "ORT_DISABLE_TELEMETRY=0"]}, "ORT_DISABLE_TELEMETRY"),  # type: ignore[index]
        ({"Env": CONFIG["Env"][:-1]}, "ORT_DISABLE_TELEMETRY"),  # type: ignore[index]
    ],
)
def test_how_an_image_is_run_counts(config: dict[str, Any], subject: str) -> None:
    (difference,) = found(config=config)
    assert (difference.kind, difference.subject) == (DifferenceKind.SETTING, subject)
