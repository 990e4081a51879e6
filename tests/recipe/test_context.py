"""The build context: equal inputs give equal bytes, and each layer finds the host's settings at its own place."""

import configparser
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile, Layer, OwnIndex
from mlperf_docker.recipe.context import write_context
from mlperf_docker.recipe.host_settings import HostSettings
from mlperf_docker.recipe.requirements import Pin

FILES = (ContextFile("harness/run.sh", b"echo\n", 0o755), ContextFile("harness/a.py", b"1\n"))
COMMON = Layer("common", (Pin("numpy", "2.4.6", "", ("sha256:0",), frozenset()),), ("numpy/**/tests",))
BACKEND = Layer("backend", (Pin("My_Project", "1.0+cpu", "", ("sha256:0",), frozenset()),))
INPUTS = BuildInputs("FROM scratch\n", FILES, (COMMON, BACKEND))
OWN = "https://maker.test/whl/cpu"
WITH_OWN = replace(INPUTS, layers=(COMMON, replace(BACKEND, index=OwnIndex(OWN, "3.11"))))


def context(inputs: BuildInputs = INPUTS, host: HostSettings | None = None) -> bytes:
    written = io.BytesIO()
    write_context(inputs, host or HostSettings(), written)
    return written.getvalue()


def members(data: bytes) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {}
        for member in tar.getmembers():
            content = tar.extractfile(member)
            found[member.name] = (member, content.read() if content else b"")
        return found


def pip_conf(found: dict[str, tuple[tarfile.TarInfo, bytes]], layer: str) -> dict[str, str]:
    """What pip is told in *layer*."""
    config = configparser.RawConfigParser()
    config.read_string(found[f"layers/{layer}/pip.conf"][1].decode())
    return dict(config["global"])


def wheelhouse(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


def test_the_bytes_do_not_depend_on_order_or_time() -> None:
    assert context() == context(BuildInputs(INPUTS.dockerfile, FILES[::-1], (BACKEND, COMMON)))


def test_every_file_is_there_with_its_bytes_and_mode() -> None:
    found = members(context())
    for file in (*INPUTS.context(), ContextFile("Dockerfile", b"FROM scratch\n")):
        entry, data = found[file.path]
        assert (data, entry.mode) == (file.data, file.mode)


def test_nothing_tells_who_made_it_or_when() -> None:
    for entry, _ in members(context()).values():
        assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, 0, "", "")


def test_files_are_sorted_and_every_folder_comes_before_its_files() -> None:
    names = list(members(context()))
    files = [name for name, (entry, _) in members(context()).items() if entry.isfile()]
    assert files == sorted(files)
    assert len(names) == len(set(names))
    for name in names:
        assert all(str(parent) in names[: names.index(name)] for parent in Path(name).parents if str(parent) != ".")


def test_the_hosts_folder_is_there_even_without_any_settings() -> None:
    found = members(context())
    for layer in ("common", "backend"):
        assert found[f"layers/{layer}/wheels"][0].isdir()
        assert pip_conf(found, layer) == {"find-links": "/run/layer/wheels"}
    assert not [name for name in found if name.endswith("ca.crt")]


def test_a_ca_bundle_travels_as_it_is() -> None:
    found = members(context(host=HostSettings(ca_bundle=b"-----BEGIN\n")))
    assert found["layers/common/ca.crt"][1] == found["layers/backend/ca.crt"][1] == b"-----BEGIN\n"


def wheels(data: bytes) -> dict[str, bytes]:
    """Path → content of what travels of the wheelhouses."""
    return {name: content for name, (entry, content) in members(data).items() if "/wheels/" in name}


def test_each_layer_gets_the_wheels_that_its_requirements_name(tmp_path: Path) -> None:
    house = wheelhouse(
        tmp_path / "house",
        "numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl",
        "numpy-2.4.5-cp311-cp311-manylinux_2_28_x86_64.whl",
        "my_project-1.0+cpu-py3-none-any.whl",
        "my_project-1.0-py3-none-any.whl",
        "my_project-1.0+cu130-py3-none-any.whl",
        "torch-2.0-py3-none-any.whl",
        "notawheel.whl",
        "numpy-2.4.6.tar.gz",
    )
    assert wheels(context(host=HostSettings(wheelhouses=(house,)))) == {
        "layers/common/wheels/numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl": (
            b"numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl"
        ),
        "layers/backend/wheels/my_project-1.0+cpu-py3-none-any.whl": b"my_project-1.0+cpu-py3-none-any.whl",
    }


def test_a_wheel_in_two_houses_travels_once_from_the_first(tmp_path: Path) -> None:
    name = "numpy-2.4.6-py3-none-any.whl"
    houses = tuple(wheelhouse(tmp_path / each, name) for each in ("one", "two"))
    (houses[0] / name).write_bytes(b"first")
    assert wheels(context(host=HostSettings(wheelhouses=houses))) == {f"layers/common/wheels/{name}": b"first"}


def test_a_wheel_of_one_layer_leaves_what_the_others_mount_as_it_is(tmp_path: Path) -> None:
    house = wheelhouse(tmp_path / "house", "my_project-1.0+cpu-py3-none-any.whl")
    with_it, without = members(context(host=HostSettings(wheelhouses=(house,)))), members(context())
    changed = {name for name in with_it if name not in without or with_it[name][1] != without[name][1]}
    assert changed == {"layers/backend/wheels/my_project-1.0+cpu-py3-none-any.whl"}


def test_a_makers_index_is_for_its_layer_alone_and_besides_the_hosts_own() -> None:
    found = members(context(WITH_OWN, HostSettings.from_environ({"PIP_EXTRA_INDEX_URL": "https://extra.test/simple"})))
    assert pip_conf(found, "common")["extra-index-url"] == "https://extra.test/simple"
    assert pip_conf(found, "backend")["extra-index-url"].split() == ["https://extra.test/simple", OWN]
    assert pip_conf(members(context(WITH_OWN)), "backend")["extra-index-url"] == OWN
    assert "extra-index-url" not in pip_conf(members(context(WITH_OWN)), "common")


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("my_project-1.0+cpu-py3-none-any.whl", False),
        ("my_project-1.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", False),
        ("my_project-1.0+cpu-7-cp311-cp311-manylinux_2_28_x86_64.whl", False),
        ("my_project-1.0+cpu-cp39-abi3-manylinux_2_28_x86_64.whl", False),
        ("My.Project-1.0+cpu-py2.py3-none-any.whl", False),
        ("my_project-1.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl", True),
        ("my_project-1.0-py3-none-any.whl", True),
        ("my_project-1.0+cu130-py3-none-any.whl", True),
        ("my_project-1.0%2Bcpu-py3-none-any.whl", True),  # pip does not know such a file as a wheel either
        ("my_project-1.0+cpu.whl", True),
    ],
)
def test_a_makers_index_is_not_asked_for_what_a_folder_has(name: str, asked: bool, tmp_path: Path) -> None:
    host = HostSettings(wheelhouses=(wheelhouse(tmp_path / "house", name),))
    assert ("extra-index-url" in pip_conf(members(context(WITH_OWN, host)), "backend")) is asked
