"""The build context: equal inputs give equal bytes, and the host's settings are always at the same place."""

import configparser
import io
import tarfile
from pathlib import Path

from mlperf_docker.digests import BuildInputs, ContextFile
from mlperf_docker.engine.context import write_context
from mlperf_docker.engine.hostnet import HostSettings

FILES = (
    ContextFile("requirements/common.txt", b"numpy==2.4.6 --hash=sha256:0\nMy_Project==1.0+cpu\n"),
    ContextFile("harness/run.sh", b"echo\n", 0o755),
    ContextFile("harness/a.py", b"1\n"),
)
INPUTS = BuildInputs("FROM scratch\n", FILES)


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


def wheelhouse(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


def test_the_bytes_do_not_depend_on_order_or_time() -> None:
    assert context() == context(BuildInputs(INPUTS.dockerfile, FILES[::-1]))


def test_every_file_is_there_with_its_bytes_and_mode() -> None:
    found = members(context())
    for file in (*FILES, ContextFile("Dockerfile", b"FROM scratch\n")):
        entry, data = found[file.path]
        assert (data, entry.mode) == (file.data, file.mode)


def test_nothing_tells_who_made_it_or_when() -> None:
    for entry, _ in members(context()).values():
        assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, 0, "", "")


def test_files_are_sorted_and_every_folder_comes_before_its_files() -> None:
    names = list(members(context()))
    files = [name for name in names if name not in {"harness", "host", "host/wheels", "requirements"}]
    assert files == sorted(files)
    for name in names:
        assert all(str(parent) in names[: names.index(name)] for parent in Path(name).parents if str(parent) != ".")


def test_the_hosts_folder_is_there_even_without_any_settings() -> None:
    found = members(context())
    assert found["host/wheels"][0].isdir()
    config = configparser.RawConfigParser()
    config.read_string(found["host/pip.conf"][1].decode())
    assert dict(config["global"]) == {"find-links": "/run/host/wheels"}
    assert "host/ca.crt" not in found


def test_a_ca_bundle_travels_as_it_is() -> None:
    found = members(context(host=HostSettings(ca_bundle=b"-----BEGIN\n")))
    assert found["host/ca.crt"][1] == b"-----BEGIN\n"


def test_only_the_wheels_that_the_requirements_name_travel(tmp_path: Path) -> None:
    house = wheelhouse(
        tmp_path / "house",
        "numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl",
        "numpy-2.4.5-cp311-cp311-manylinux_2_28_x86_64.whl",
        "my_project-1.0+cpu-py3-none-any.whl",
        "torch-2.0-py3-none-any.whl",
        "notawheel.whl",
        "numpy-2.4.6.tar.gz",
    )
    found = members(context(host=HostSettings(wheelhouses=(house,))))
    wheels = {name.removeprefix("host/wheels/") for name in found if name.startswith("host/wheels/")}
    assert wheels == {"numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl", "my_project-1.0+cpu-py3-none-any.whl"}
    assert found["host/wheels/my_project-1.0+cpu-py3-none-any.whl"][1] == b"my_project-1.0+cpu-py3-none-any.whl"


def test_a_wheel_in_two_houses_travels_once_from_the_first(tmp_path: Path) -> None:
    name = "numpy-2.4.6-py3-none-any.whl"
    houses = tuple(wheelhouse(tmp_path / each, name) for each in ("one", "two"))
    (houses[0] / name).write_bytes(b"first")
    assert members(context(host=HostSettings(wheelhouses=houses)))[f"host/wheels/{name}"][1] == b"first"
