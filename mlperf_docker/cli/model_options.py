"""Options that models declare in images.yaml, on the commands that take them."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import typer
from typer.core import TyperCommand

from mlperf_docker.cli.options import parameter, value
from mlperf_docker.contract.model_options import ModelOptions, of_values
from mlperf_docker.errors import MlperfDockerError, UsageError

if TYPE_CHECKING:
    from mlperf_docker.catalog.spec import ModelOption, ModelSpec

_GIVEN = "mlperf-docker: options of a model"


@dataclass(frozen=True)
class GivenOptions:
    """The options of models that a command line gives."""

    command: str = ""
    """The command of the harness that they are for."""
    values: Mapping[str, Any] = field(default_factory=dict)

    def of(self, model: "ModelSpec") -> ModelOptions:
        """Their values. Raises UsageError for one that *model* does not have."""
        own = {option.name for option in model.options_of(self.command)}
        for name in self.values.keys() - own:
            others = " and ".join(each.name for each, _ in declarations(self.command)[name])
            raise UsageError(f"{model.name} has no option --{name}.", hint=f"It is an option of {others}.")
        return of_values(self.values)


class ModelOptionsCommand(TyperCommand):
    """A command with the options that models declare for it, which are read when its own options are needed."""

    word: ClassVar[str]
    """The command of the harness that models declare them for."""

    @property
    def of_models(self) -> tuple[Any, ...]:
        """These options; none where the catalog cannot be read, which the command itself tells."""
        try:
            return parameters(self.word)
        except MlperfDockerError:
            return ()

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401  # click's, or Typer's own copy of it
        """The command's own options and these, and --help at the end."""
        *own, help_option = super().get_params(ctx)
        return [*own, *self.of_models, help_option]

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  # click's, or Typer's own copy of it
        """Keep the values of these apart from those of the command's own options."""
        ctx.meta[_GIVEN] = {each.name: ctx.params.pop(each.name, None) for each in self.of_models}
        return super().invoke(ctx)


def taking_model_options(word: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that models declare for *word*, as its parameter `given`."""

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapper(*, context: typer.Context, **own: Any) -> None:  # noqa: ANN401  # of every type that typer knows
            command(**own, given=_given(word, context.meta.get(_GIVEN, {})))

        signature = inspect.signature(command)
        kept = [each for each in signature.parameters.values() if each.name != "given"]
        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        wrapper.__signature__ = signature.replace(parameters=[*kept, context])  # type: ignore[attr-defined]  # Typer's
        wrapper.command_class = type("ModelOptionsCommand", (ModelOptionsCommand,), {"word": word})  # type: ignore[attr-defined]
        return wrapper

    return decorated


def _given(word: str, parsed: Mapping[str, Any]) -> GivenOptions:
    options = {name: each[0][1].declared.option() for name, each in declarations(word).items()} if parsed else {}
    values = {name: value(option, parsed[option.name]) for name, option in options.items()}
    return GivenOptions(word, {name: each for name, each in values.items() if each is not None})


@functools.cache
def declarations(word: str) -> "dict[str, list[tuple[ModelSpec, ModelOption]]]":
    """Option that models declare for *word* → the models that have it, each with its declaration."""
    from mlperf_docker.catalog.loading import Catalog

    found: dict[str, list[tuple[ModelSpec, ModelOption]]] = {}
    for model in Catalog.load().models:
        for option in model.options_of(word):
            found.setdefault(option.name, []).append((model, option))
    return found


@functools.cache
def parameters(word: str) -> tuple[Any, ...]:
    """The options that models declare for *word*, as Typer makes them of a signature."""
    if not declarations(word):
        return ()

    def taker() -> None:
        """Take the options."""

    options = (
        first.declared.option("; ".join(f"{model.title}: {each.help}" for model, each in declared), first.metavar)
        for declared in declarations(word).values()
        for _, first in declared[:1]
    )
    taker.__signature__ = inspect.Signature([parameter(option) for option in options])  # type: ignore[attr-defined]
    app = typer.Typer(add_completion=False)
    app.command()(taker)
    made: Any = typer.main.get_command(app)
    return tuple(made.params)
