"""Bundles of small images, written on one daemon and loaded into another: contents, damage, full disks, interruptions.

A whole run out of a bundle is in tests/cells/test_bundle.py.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.bundle import manifest as manifests
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine.archive import tags_in
from tests.bundle.hosts import COMMAND, RANDOM, REGISTRY, SHARED, WEIGHTS, Host, Written, clear, tags
from tests.fixtures.programs import program
from tests.fixtures.second_engine import SecondEngine, second_engine

pytestmark = pytest.mark.engine
POINTS = int(os.environ.get("MLPERF_TEST_POINTS", "6"))  # at which writing and loading are interrupted
FULL_DISK = """
import sys
from mlperf_docker.bundle import writing
from mlperf_docker.cli.entry import main
writing._require_space = lambda *_: None  # it was free a moment ago
main()
"""


def reseal(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Edit the manifest as somebody would who knows about its checksum."""
    fields = json.loads((folder / manifests.MANIFEST).read_text())
    change(fields)
    text = json.dumps(fields).encode()
    (folder / manifests.MANIFEST).write_bytes(text)
    digest = hashlib.sha256(text).hexdigest()
    (folder / manifests.MANIFEST_CHECKSUM).write_text(f"{digest}  {manifests.MANIFEST}\n")


def test_a_bundle_holds_what_it_says(home: Host, written: Written) -> None:
    manifest = manifests.read(written.folder)
    assert [cell.cell for cell in manifest.cells] == ["resnet50:onnxruntime-cpu"]
    assert manifest.cells[0].id == home.client().inspect_image(written.tags[0])["Id"]  # type: ignore[no-untyped-call]
    assert manifest.missing == ("resnet50/resnet50_v1.onnx",)
    listed = {file.path: file for file in manifest.files}
    on_disk = {path.relative_to(written.folder).as_posix() for path in written.folder.rglob("*") if path.is_file()}
    assert on_disk == {*listed, "manifest.json", "manifest.json.sha256"}
    assert set(listed) == {"images.tar", "locks/onnxruntime-cpu.txt", "models/resnet50/mine.safetensors"}
    for path, file in listed.items():
        content = (written.folder / path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size_bytes, file.sha256)
    assert tags_in(written.folder / "images.tar") == set(written.tags)
    by_hand = subprocess.run(
        ["sha256sum", "--check", "--quiet", "manifest.json.sha256"], cwd=written.folder, check=False, timeout=20
    )
    assert by_hand.returncode == 0


def test_a_layer_that_images_share_is_in_it_once(home: Host, tmp_path: Path) -> None:
    for model in ("resnet50", "bert"):
        home("bundle", model, "--models", "none", "--to", tmp_path / model)
    with_both = tmp_path / "both"
    script = (
        "import sys; import mlperf_docker.catalog.selector as s;"
        "s.select = lambda catalog, *_, every:"
        " tuple(s.find(catalog, model, 'onnxruntime') for model in ('resnet50', 'bert'));"
        "from mlperf_docker.cli.entry import main; main()"
    )
    argv = [sys.executable, "-c", script, "bundle", "--all", "--models", "none", "--to", str(with_both)]
    subprocess.run(argv, env=home.environment, check=True, timeout=60, capture_output=True)
    single, other, both = ((tmp_path / name / "images.tar").stat().st_size for name in ("resnet50", "bert", "both"))
    assert single > len(SHARED)
    assert other > len(SHARED)
    assert both < single + 500_000
    assert len(tags_in(with_both / "images.tar")) == 2


def test_loading_gives_the_same_images_and_files(written: Written, home: Host, empty: Host) -> None:
    done = empty("bundle", "load", written.folder)
    assert done.stdout.split() == list(written.tags)
    assert "Model file resnet50/resnet50_v1.onnx: not in the bundle." in done.stderr
    (tag,) = written.tags
    assert empty.client().inspect_image(tag)["Id"] == home.client().inspect_image(tag)["Id"]  # type: ignore[no-untyped-call]
    assert [path.name for path in empty.models.iterdir()] == ["mine.safetensors"]
    assert (empty.models / "mine.safetensors").read_bytes() == WEIGHTS
    listed = json.loads(empty("list", "--json").stdout)
    assert [each["image"] for each in listed if each["present"]] == list(written.tags), "although its base is not here"
    before = time.monotonic()
    assert "Images: all present." in empty("bundle", "load", written.folder).stderr
    assert time.monotonic() - before < 10


def test_images_get_the_name_of_this_hosts_registry(written: Written, empty: Host) -> None:
    done = empty("bundle", "load", written.folder, "--registry", "registry.test/team")
    assert done.stdout.strip() == written.tags[0].replace(REGISTRY, "registry.test/team")
    assert set(done.stdout.split()) <= set(tags(empty))


def test_a_bundle_of_other_formats_is_checked_and_its_layout_loaded(home: Host, empty: Host, tmp_path: Path) -> None:
    """Without docker's archive, which they are made of on the way."""
    program("mksquashfs", "squashfs-tools")
    folder = tmp_path / "bundle"
    formats = ("--format", "oci", "--format", "sqsh")
    home("bundle", "resnet50", "--models", "none", *formats, "--to", folder)
    assert sorted(each.name for each in folder.iterdir()) == [
        *("locks", "manifest.json", "manifest.json.sha256", "oci", "sqsh"),
    ]
    (cell,) = manifests.read(folder).cells
    assert [each.name for each in (folder / "sqsh").iterdir()] == [f"{cell.name}.sqsh"]
    assert "formats: oci, sqsh" in home("bundle", "verify", folder).stdout
    assert empty("bundle", "load", folder).stdout.split() == tags(empty) == [cell.tag]
    flip(folder / f"sqsh/{cell.name}.sqsh")
    done = home("bundle", "verify", folder, expect=ExitCode.REGISTRY)
    assert f"sqsh/{cell.name}.sqsh: sha256" in done.stderr
    assert (
        "Unknown format of a bundle 'zip'" in home("bundle", "bert", "--format", "zip", "--to", folder, expect=2).stderr
    )


def test_verify_needs_no_engine(written: Written, tmp_path: Path) -> None:
    done = Host("unix:///nowhere.sock", tmp_path)("bundle", "verify", written.folder)
    assert written.tags[0] in done.stdout
    assert "resnet50/mine.safetensors (20 MB)" in done.stdout


def edit(path: Path, old: str, new: str) -> object:
    text = path.read_text()
    assert old in text
    return path.write_text(text.replace(old, new))


def flip(path: Path, at: float = 0.5) -> object:
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * at))
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        return file.write(bytes([byte[0] ^ 1]))


def truncate(path: Path) -> object:
    return path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


DAMAGE: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "truncated": (lambda folder: truncate(folder / "images.tar"), ("images.tar: ", "cut off")),
    "a byte": (lambda folder: flip(folder / "images.tar"), ("images.tar: sha256 ",)),
    "a model's byte": (lambda folder: flip(folder / "models/resnet50/mine.safetensors"), ("mine.safetensors: sha256",)),
    "missing": (lambda folder: (folder / "locks/onnxruntime-cpu.txt").unlink(), ("onnxruntime-cpu.txt: missing",)),
    "everything": (
        lambda folder: [truncate(folder / "images.tar"), flip(folder / "locks/onnxruntime-cpu.txt")],
        ("images.tar: ", "onnxruntime-cpu.txt: sha256"),
    ),
    "manifest edited": (
        lambda folder: edit(folder / "manifest.json", "linux/", "lunix/"),
        ("manifest.json was changed",),
    ),
    "manifest truncated": (lambda folder: truncate(folder / "manifest.json"), ("is no manifest of a bundle",)),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), ("There is no bundle in ",)),
    "no checksum": (lambda folder: (folder / "manifest.json.sha256").unlink(), ("manifest.json.sha256 cannot be",)),
    "another format": (
        lambda folder: reseal(folder, lambda fields: fields.update(format=2, version="9.9")),
        ("has format 2, written by mlperf-docker 9.9; this one reads 1",),
    ),
    "a way out": (
        lambda folder: reseal(folder, lambda fields: fields["files"][0].update(path="models/resnet50/../../x")),
        ("files.0.path",),
    ),
    "another image": (
        lambda folder: reseal(folder, lambda fields: fields["cells"][0].update(tag="mlperf-test/resnet50:x")),
        ("does not hold mlperf-test/resnet50:x", "holds mlperf-test/resnet50:onnxruntime-cpu-"),
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_bundle_is_refused(copy: Path, empty: Host, damage: str) -> None:
    harm, said = DAMAGE[damage]
    harm(copy)
    for command in ("verify", "load"):
        done = empty("bundle", command, copy, expect=ExitCode.REGISTRY)
        assert all(part in done.stderr for part in said), done.stderr
        assert "Hint:" in done.stderr
    assert tags(empty) == []
    assert not empty.models.exists()


def test_a_folder_without_a_manifest_is_no_bundle(empty: Host, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[]")
    assert "is no manifest of a bundle" in empty("bundle", "load", tmp_path, expect=10).stderr
    assert "There is no bundle in" in empty("bundle", "load", tmp_path / "none", expect=10).stderr


def test_a_bundle_for_another_architecture_is_refused(copy: Path, empty: Host) -> None:
    reseal(copy, lambda fields: fields["cells"][0].update(platform="linux/arm64"))
    done = empty("bundle", "load", copy, expect=ExitCode.ENGINE)
    assert "runs images for linux/amd64" in done.stderr
    assert "resnet50:onnxruntime-cpu: linux/arm64" in done.stderr
    assert tags(empty) == []


def test_images_of_another_version_of_the_tool(copy: Path, empty: Host) -> None:
    reseal(copy, lambda fields: fields["cells"][0].update(base_identity=f"sha256:{'0' * 64}", hash="0" * 12))
    done = empty("bundle", "load", copy, expect=ExitCode.USAGE)
    assert "resnet50:onnxruntime-cpu: its Dockerfile or harness is another one here" in done.stderr
    assert "--force" in done.stderr
    assert tags(empty) == []


def test_a_model_file_of_the_same_name_is_replaced_only_by_force(written: Written, empty: Host) -> None:
    empty.models.mkdir(parents=True)
    mine = empty.models / "mine.safetensors"
    mine.write_text("mine")
    assert str(mine) in empty("bundle", "load", written.folder, expect=ExitCode.USAGE).stderr
    assert mine.read_text() == "mine"
    assert tags(empty) == []
    empty("bundle", "load", written.folder, "--force")
    assert mine.read_bytes() == WEIGHTS


def test_bundle_write_refuses_wrong_requests_before_it_writes(home: Host, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").touch()
    for to, said in (("full", "is there already"), ("none/bundle", f"mkdir -p {tmp_path / 'none'}")):
        assert said in home("bundle", "resnet50", "--to", tmp_path / to, expect=ExitCode.USAGE).stderr
    asked = ("bundle", "write", "resnet50", "--models", "all", "--to", tmp_path / "bundle")
    done = home(*asked, expect=ExitCode.MODEL_FILE)
    assert "mlperf-docker models fetch resnet50" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


def test_an_official_model_file_that_is_wrong_does_not_travel(home: Host, tmp_path: Path) -> None:
    wrong = home.models / "resnet50_v1.onnx"
    wrong.write_bytes(b"another")
    try:
        done = home("bundle", "resnet50", "--to", tmp_path / "bundle", expect=ExitCode.MODEL_FILE)
        assert str(wrong) in done.stderr
    finally:
        wrong.unlink()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("noticed", ["beforehand", "on the way"])
def test_the_disk_is_full_while_writing(home: Host, tmp_path: Path, noticed: str) -> None:
    command = [str(COMMAND)] if noticed == "beforehand" else [sys.executable, "-c", FULL_DISK]
    script = 'mount -t tmpfs -o size=8m tmpfs "$1" && shift && "$@"; code=$?; ls -A "$TO"; exit $code'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), *command, "bundle", "resnet50"]
    done = subprocess.run(
        [*argv, "--to", str(tmp_path / "bundle")], env={**home.environment, "TO": str(tmp_path)}, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == ExitCode.REGISTRY, done.stderr
    assert ("has no room: about" if noticed == "beforehand" else "No space left on device") in done.stderr
    assert done.stdout == "", "nothing is left on the disk"


def test_the_disk_is_full_while_loading(written: Written, tmp_path: Path) -> None:
    with second_engine(disk="32m") as small:
        host = Host(small.socket, tmp_path)
        done = host("bundle", "load", written.folder, expect=ExitCode.ENGINE)
        assert "The engine cannot load the images: its disk is full" in done.stderr
        assert "docker system df" in done.stderr
        assert tags(host) == []
        assert not host.models.exists() or not list(host.models.iterdir())


def interrupted(host: Host, arguments: tuple[str | Path, ...], after_s: float, number: signal.Signals) -> int:
    """Start the command, signal it *after_s* seconds later, and return how it ended."""
    running = host.start(*arguments)
    time.sleep(after_s)
    if running.poll() is None:
        os.killpg(running.pid, number)
    _, err = running.communicate(timeout=60)
    assert "Internal error" not in err
    return running.returncode


def moments(took_s: float) -> Iterator[tuple[float, signal.Signals]]:
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    yield from ((RANDOM.uniform(0, took_s), kinds[index % len(kinds)]) for index in range(POINTS))


def timed(command: Callable[[], object]) -> float:
    start = time.monotonic()
    command()
    return time.monotonic() - start


def engine_leftovers(daemon: SecondEngine) -> list[str]:
    """What the engine keeps of transfers in its temporary folder, which only its own mounts show."""
    data = daemon.socket.removeprefix("unix://").replace("docker.sock", "data")
    folder = Path(f"/proc/{daemon.process.pid}/root{data}/tmp")
    deadline = time.monotonic() + 10  # it notices a broken connection when it next writes to it
    while (left := [path.name for path in folder.iterdir()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def test_writing_is_interrupted_and_repeated(home: Host, daemon: SecondEngine, tmp_path: Path) -> None:
    to = tmp_path / "bundle"
    write: tuple[str | Path, ...] = ("bundle", "resnet50", "--to", to)
    took_s = timed(lambda: home(*write))
    shutil.rmtree(to)
    ended = []
    for after_s, number in moments(took_s):
        ended.append(interrupted(home, write, after_s, number))
        left = [path.name for path in tmp_path.iterdir()]
        assert left in ([], ["bundle"]) or (number is signal.SIGKILL and left == [".bundle.partial"])
        if left != ["bundle"]:
            home(*write)
        home("bundle", "verify", to)
        assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
        shutil.rmtree(to)
    assert engine_leftovers(daemon) == []
    sys.stdout.write(f"writing: {len(ended)} of {POINTS} repeated; ended with {sorted(ended)}\n")


def test_loading_is_interrupted_and_repeated(written: Written, empty: Host, other: Host) -> None:
    load: tuple[str | Path, ...] = ("bundle", "load", written.folder)
    took_s = timed(lambda: empty(*load))
    ended = []
    for after_s, number in moments(took_s):
        clear(empty)
        ended.append(interrupted(empty, load, after_s, number))
        assert tags(empty) in ([], list(written.tags))
        if number is not signal.SIGKILL and empty.models.exists():
            assert [path.name for path in empty.models.iterdir()] in ([], ["mine.safetensors"])
        empty(*load)
        assert tags(empty) == list(written.tags)
        assert [path.name for path in empty.models.iterdir()] == ["mine.safetensors"]
        assert (empty.models / "mine.safetensors").read_bytes() == WEIGHTS
        assert len(empty.client().images(all=True)) == len(written.tags), "nothing without a name"
    sys.stdout.write(f"loading: {len(ended)} of {POINTS} repeated; ended with {sorted(ended)}\n")
