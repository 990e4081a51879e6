"""Links as the kernel follows them in a real container: the same contents under the same names as on the host."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlperf_docker.engine import links
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.engine.container import run_container
from mlperf_docker.engine.plan import ContainerUser, RunPlan
from mlperf_docker.images.known_bases import Base
from tests.fixtures.engine import MARK, TEST_LABEL

pytestmark = pytest.mark.engine
Layout = Callable[[Path, list[Path]], None]
COUNT = 12


def absolute(root: Path, files: list[Path]) -> None:
    for each in files:
        (root / each.name).symlink_to(each)


def relative(root: Path, files: list[Path]) -> None:
    for each in files:
        (root / each.name).symlink_to(Path("../store") / each.name)


def single(root: Path, files: list[Path]) -> None:
    (root / "only").symlink_to("../store/0")


def folder(root: Path, files: list[Path]) -> None:
    (root / "part").symlink_to(files[0].parent)


def chain_of_single_files(root: Path, files: list[Path]) -> None:
    (root.parent / "second").symlink_to(files[0])
    (root.parent / "first").symlink_to("second")
    (root / "chained").symlink_to("../first")


def chains_of_many_files(root: Path, files: list[Path]) -> None:
    """By a link farm: links to links, some of which are relative to where they lie."""
    farm = root.parent / "farm"
    farm.mkdir()
    for number, each in enumerate(files):
        (farm / each.name).symlink_to(each if number % 2 else f"../store/{each.name}")
        (root / each.name).symlink_to(farm / each.name)


def through_a_folder_that_is_a_link(root: Path, files: list[Path]) -> None:
    (root.parent / "elsewhere").mkdir()
    (root.parent / "elsewhere/alias").symlink_to(files[0].parent)
    for each in files:
        (root / each.name).symlink_to(Path("../elsewhere/alias") / each.name)


def links_in_a_folder_that_is_a_link(root: Path, files: list[Path]) -> None:
    (root.parent / "farm/deep").mkdir(parents=True)
    for each in files:
        (root.parent / "farm/deep" / each.name).symlink_to(Path("../../store") / each.name)
    (root / "part").symlink_to("../farm")


@pytest.mark.parametrize(
    "layout",
    [absolute, relative, single, folder, chain_of_single_files, chains_of_many_files, through_a_folder_that_is_a_link,
     links_in_a_folder_that_is_a_link],
)  # fmt: skip
def test_a_container_reads_what_the_host_reads(
    layout: Layout, clean: DockerEngine, base_image: Base, tmp_path: Path
) -> None:
    root, store = tmp_path / "a set, of links", tmp_path / "store"
    root.mkdir()
    store.mkdir()
    files = [store / str(number) for number in range(COUNT)]
    for each in files:
        each.write_text(f"content of {each.name}\n")
    layout(root, files)
    expected = [each.read_text().strip() for each in sorted(root.rglob("*")) if each.is_file()]
    expected = expected or [each.read_text().strip() for each in files]
    seen = links.folder(root, "/data")
    out: list[str] = []
    plan = RunPlan(
        base_image.reference,
        ("sh", "-c", 'find -L "$0" -type f -exec cat {} +', seen.path),
        seen.mounts,
        ContainerUser("12345:12345"),
        labels=((TEST_LABEL, MARK),),
    )
    assert run_container(clean, plan, on_stdout=out.append, on_stderr=out.append).code == 0
    assert sorted(out) == sorted(expected)
    assert len(out) in (1, COUNT)
