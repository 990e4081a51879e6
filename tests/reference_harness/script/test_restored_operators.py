"""Operators of a package whose library does not load, defined before the package is imported."""

import importlib
import sysconfig
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mlperf_docker.reference_harness.script.restored_names import restore  # noqa: E402

SCHEMA = "{}::first(Tensor rows, int count) -> Tensor"
PLACE = f"{__name__}.first_rows"


def first_rows(rows: Any, count: int) -> Any:
    return rows[:count].clone()


def other_rows(rows: Any, count: int) -> Any:
    raise AssertionError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A package that can only be imported where its operator is there, as torchvision can; its name."""
    name = f"package_of_{request.node.name}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(
        f'import torch\n\n\n@torch.library.register_fake("{name}::first")\n'
        "def first(rows, count):\n    return rows[:count]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_package_without_its_operator_is_not_importable(package: str) -> None:
    with pytest.raises(RuntimeError, match="does not exist"):
        importlib.import_module(package)


def test_an_operator_that_is_gone_is_what_is_at_its_place(
    package: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / package / "_C.so").write_bytes(b"of another build")
    restore(SCHEMA.format(package), PLACE)
    importlib.import_module(package)
    assert getattr(torch.ops, package).first(torch.arange(5), 2).tolist() == [0, 1]
    assert capsys.readouterr().err.startswith(f"{package}: its library does not load")


def test_an_operator_can_be_called_by_a_script(package: str) -> None:
    restore(SCHEMA.format(package), PLACE)
    found = torch.jit.CompilationUnit(f"def f(x: Tensor) -> Tensor:\n    return torch.ops.{package}.first(x, 3)\n")
    assert found.f(torch.arange(5)).tolist() == [0, 1, 2]


def test_an_operator_that_is_there_is_left_alone(package: str) -> None:
    restore(SCHEMA.format(package), PLACE)
    restore(SCHEMA.format(package), f"{__name__}.other_rows")
    assert getattr(torch.ops, package).first(torch.arange(5), 1).tolist() == [0]


def test_a_library_that_loads_is_no_word(package: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    modules = Path(sysconfig.get_path("stdlib"), "lib-dynload")
    library = next(modules.glob("_json*.so"), None) or next(modules.glob("*.so"))
    (tmp_path / package / "_C.so").symlink_to(library)
    restore(SCHEMA.format(package), PLACE)
    assert capsys.readouterr().err == ""


def test_operators_of_a_package_that_is_not_installed_are_no_matter() -> None:
    restore(SCHEMA.format("not_installed"), PLACE)
    assert not hasattr(torch.ops.not_installed, "first")
