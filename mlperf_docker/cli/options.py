"""Options and arguments that several commands share. Names are checked by the selector, which offers the nearest."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from mlperf_docker.contract.options import Option, declared
from mlperf_docker.errors import FolderError, UsageError
from mlperf_docker.names import HarnessName
from mlperf_docker.system import paths


def user_path(text: str) -> Path:
    """Parse a path of the command line; the one place that knows of `~`."""
    try:
        return paths.of_user(text)
    except (FolderError, UsageError, OSError) as error:  # the last where the working folder is gone
        raise typer.BadParameter(str(error)) from error


def registry(text: str) -> str:
    """Parse the name of a registry."""
    from mlperf_docker.registry.references import registry_name

    return _parsed(registry_name, text)


def image(text: str) -> str:
    """Parse the name of an image."""
    from mlperf_docker.registry.references import image_name

    return _parsed(image_name, text)


def _parsed(parse: Callable[[str], str], text: str) -> str:
    try:
        return parse(text)
    except UsageError as error:
        raise typer.BadParameter(f"{error} {error.hint or ''}".strip()) from error


ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A model, such as resnet50; `list` shows all.")]
OptionalModel = Annotated[str, typer.Argument(metavar="[MODEL]", help="Only this model.")]
OptionalModelName = Annotated[str, typer.Argument(metavar="[MODEL]", help="A model's name; none with --all.")]
BackendName = Annotated[
    str, typer.Option("--backend", "-b", help="A backend, such as pytorch; `list` shows all. Default: the model's own.")
]
OnlyBackend = Annotated[str, typer.Option("--backend", "-b", help="Only this backend, such as pytorch. Default: all.")]
DeviceName = Annotated[str, typer.Option("--device", "-d", help="A device, such as cuda; `list` shows all.")]
SomeBackend = Annotated[
    str,
    typer.Option(
        "--backend",
        "-b",
        help="A backend, such as pytorch; `list` shows all. Default: the model's own; with --all, each of them.",
    ),
]
SomeDevice = Annotated[
    str,
    typer.Option(
        "--device", "-d", help="A device, such as cuda; `list` shows all. Default: cpu; with --all, each of them."
    ),
]
WhoseCode = Annotated[
    HarnessName,
    typer.Option("--harness", help="Whose code runs: our own, or the reference implementation out of a checkout."),
]
ImagesOf = Annotated[
    HarnessName,
    typer.Option("--harness", help="Images of our own harness, or with what the reference implementation imports."),
]
Registry = Annotated[
    str,
    typer.Option(
        "--registry",
        envvar="MLPERF_DOCKER_REGISTRY",
        parser=registry,
        metavar="HOST/PATH",
        help="Registry of the images: without https://, in lower case.",
    ),
]
BaseImageName = Annotated[
    str,
    typer.Option(
        "--base", parser=image, metavar="IMAGE", help="Use this image as the base in place of the cell's own."
    ),
]
BootstrapBase = Annotated[
    bool,
    typer.Option(
        "--bootstrap-base",
        help="If no base can be pulled, make one from the Debian mirror with mmdebstrap. Without a data set,"
        " `run` does so by itself.",
    ),
]
EveryCell = Annotated[bool, typer.Option("--all", help="Every cell that the other options leave.")]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Images at a time.")]
JsonOutput = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ResultsRoot = Annotated[
    Path | None,
    typer.Option(
        "--results", parser=user_path, metavar="DIR", help="An existing folder. Default: the user's data folder."
    ),
]
OwnModelFile = Annotated[
    Path | None, typer.Option("--model-file", parser=user_path, metavar="FILE", help="Your own model file.")
]
OwnSettings = Annotated[
    Path | None,
    typer.Option(
        "--user-conf", parser=user_path, metavar="FILE", help="Your own LoadGen settings, in the form of a user.conf."
    ),
]
ProfileName = Annotated[
    str,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="A profile of `tune`, by name or file: its values for what no option says.",
    ),
]

ReferenceFolder = Annotated[
    Path | None,
    typer.Option(
        "--reference",
        parser=user_path,
        metavar="DIR",
        help="Your checkout of mlcommons/inference, whose reference implementation runs. Default: the one that"
        " MLPERF_INFERENCE names.",
    ),
]
ModelCodeFolder = Annotated[
    Path | None,
    typer.Option(
        "--model-code",
        parser=user_path,
        metavar="DIR",
        help="Model code that a reference implementation imports from elsewhere than its checkout, as DLRM's does.",
    ),
]

_Command = Callable[..., None]


def in_place_of(
    name: str, parameters: Sequence[inspect.Parameter], made: Callable[[dict[str, Any]], Any]
) -> Callable[[_Command], _Command]:
    """Give a command *parameters* in place of its own one *name*, which gets what is *made* of their values."""
    names = [each.name for each in parameters]

    def decorated(command: _Command) -> _Command:
        @functools.wraps(command)
        def wrapper(**given: Any) -> None:  # noqa: ANN401  # of every type that typer knows
            values = {each: given.pop(each) for each in names}
            command(**given, **{name: made(values)})

        own = inspect.signature(command)
        new = (each for one in own.parameters.values() for each in (parameters if one.name == name else (one,)))
        wrapper.__signature__ = own.replace(parameters=tuple(new))  # type: ignore[attr-defined]  # Typer's
        return wrapper

    return decorated


def keywords(options: Mapping[str, tuple[Any, Any]]) -> list[inspect.Parameter]:
    """Return parameters of *options*: name → what Typer makes an option of, and its default."""
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in options.items()
    ]


def taking(kind: type, *, without: tuple[str, ...] = ()) -> Callable[[_Command], _Command]:
    """Give a command the options that *kind* declares, in place of its parameter `options`, which gets their values.

    without: names of those that it does not take.
    """
    taken = [each for each in declared(kind) if not each.only_harness and each.name not in without]

    def made(values: dict[str, Any]) -> object:
        return kind(**{each.name: value(each, values[each.name]) for each in taken})

    return in_place_of("options", [parameter(each) for each in taken], made)


def parameter(option: Option) -> inspect.Parameter:
    """An option of the contract as Typer reads it. Words stay text here: `value` offers the nearest."""
    is_word = issubclass(option.kind, StrEnum)
    names = (option.flag, option.short) if option.short else (option.flag,)
    info = typer.Option(
        *names, metavar=option.metavar, help=option.help, min=option.bounds.least if option.bounds else None
    )
    default = (option.default or "") if is_word else option.default
    kind = str if is_word else option.kind if option.kind is bool else option.kind | None
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
    )


def value(option: Option, given: Any) -> Any:  # noqa: ANN401
    """The value of *option* that was *given* on the command line. Raises UsageError for a word that is none."""
    if not issubclass(option.kind, StrEnum):
        return given
    from mlperf_docker.catalog.selector import parse_choice

    return parse_choice(option.noun, given, option.kind) if given else option.default
