"""Commands that are made when they are asked for."""

from typing import Any

import pytest
import typer
from typer.main import get_command_from_info
from typer.testing import CliRunner

from mlperf_docker.cli.app import app
from mlperf_docker.cli.on_demand import group


def first() -> None:
    """First of all."""
    typer.echo("one")


def second() -> None:
    """Second to none."""
    typer.echo("two")


@pytest.fixture
def tool() -> typer.Typer:
    """A tool of two commands, and a group in it."""
    tool = group({"first": first, "second": second})
    tool.add_typer(group({"inner": first}, help="More."), name="more")
    return tool


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the commands that were made."""
    names: list[str] = []

    def recorded(info: Any, **options: Any) -> Any:
        names.append(info.name)
        return get_command_from_info(info, **options)

    monkeypatch.setattr("mlperf_docker.cli.on_demand.get_command_from_info", recorded)
    return names


def test_help_lists_commands_without_making_them(tool: typer.Typer, made: list[str]) -> None:
    said = CliRunner().invoke(tool, ["--help"]).stdout
    assert "first   First of all." in said
    assert "second  Second to none." in said
    assert made == []


def test_a_command_that_is_named_is_the_only_one_made(tool: typer.Typer, made: list[str]) -> None:
    done = CliRunner().invoke(tool, ["second"])
    assert (done.stdout, made) == ("two\n", ["second"])


def test_a_command_of_an_unknown_name_is_answered_with_the_nearest(tool: typer.Typer, made: list[str]) -> None:
    done = CliRunner().invoke(tool, ["secnd"])
    assert done.exit_code == 2
    assert "'second'" in done.output
    assert made == []


def test_commands_of_the_tool_can_be_walked_and_are_made_once(made: list[str]) -> None:
    root: Any = typer.main.get_command(app)
    assert root.commands["run"] is root.commands["run"]
    assert made.count("run") == 1
    assert [each.name for each in root.commands.values()] == list(root.commands)
