"""Groups of commands that make a command only when it is asked for: reading all parameters would take 15 ms."""

import inspect
from collections import UserDict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_from_info
from typer.models import CommandInfo

_Command = Any  # click's, or Typer's own copy of it


class Commands(UserDict[str, _Command]):
    """Commands by name, each made of its CommandInfo when it is looked up."""

    def __getitem__(self, name: str) -> _Command:
        """Return the command called *name*. Raises KeyError."""
        found = super().__getitem__(name)
        if isinstance(found, CommandInfo):
            found = get_command_from_info(found, pretty_exceptions_short=False, rich_markup_mode=None)
            self.data[name] = found
        return found


class OnDemand(TyperGroup):
    """Group whose own commands are `declared`; those that Typer gives it come after them."""

    declared: ClassVar[Mapping[str, CommandInfo]] = {}
    """Name → what Typer makes the command of."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401  # Typer's
        super().__init__(**attributes)
        self.commands = self._all = Commands({**self.declared, **self.commands})

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  # click's, or Typer's own copy of it
        """Write the list of commands, for which a command without its parameters does."""
        listed = {name: _bare(name, each) for name, each in self._all.data.items()}
        TyperGroup(name=self.name, commands=listed).format_commands(ctx, formatter)


def _bare(name: str, command: _Command) -> _Command:
    if not isinstance(command, CommandInfo):
        return command
    return TyperCommand(name, help=inspect.getdoc(command.callback), rich_markup_mode=None)


def group(
    commands: Mapping[str, Callable[..., None]],
    kind: type[OnDemand] = OnDemand,
    **attributes: Any,  # noqa: ANN401  # Typer's
) -> typer.Typer:
    """Return a Typer application of *commands*. A command may name the class that Typer makes it of."""
    declared = {
        name: CommandInfo(name, cls=getattr(command, "command_class", None), callback=command)
        for name, command in commands.items()
    }
    cls = type(kind.__name__, (kind,), {"declared": declared})
    return typer.Typer(cls=cls, no_args_is_help=True, rich_markup_mode=None, **attributes)
