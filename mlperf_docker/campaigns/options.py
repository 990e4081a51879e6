"""Options of a run as campaign.yaml writes them: the names of `mlperf-docker run`, with _ for -."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mlperf_docker.catalog.selector import UnknownNameError, parse_choice
from mlperf_docker.catalog.spec import ModelSpec
from mlperf_docker.contract.model_options import ModelOptions, of_values
from mlperf_docker.contract.options import Option, RunOptions, declared
from mlperf_docker.engine.plan import Limits
from mlperf_docker.errors import UsageError

_DECIDED = {"precision", "scenario", "mode", "compliance"}
"""Options that a cell, or the plan, has a word of its own for."""
_LIMITS: Mapping[str, type] = {"cpus": float, "cpuset": str, "memory": str, "gpus": str}


@dataclass(frozen=True)
class CampaignOptions:
    """Options that campaign.yaml gives, checked: values of RunOptions, limits, and options of the model."""

    run: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)

    def over(self, other: "CampaignOptions") -> "CampaignOptions":
        """Return *other* with what is given here in place of its own."""
        return CampaignOptions(
            {**other.run, **self.run}, {**other.limits, **self.limits}, {**other.model, **self.model}
        )

    def options(self, **decided: Any) -> RunOptions:  # noqa: ANN401  # values of RunOptions
        """Return the options of a run with what the plan has *decided*."""
        return RunOptions(**{**self.run, **decided, "model_options": self.model_options})

    @property
    def model_options(self) -> ModelOptions:
        """The options that only the model has."""
        return of_values(self.model)

    def limited(self) -> Limits:
        """Return the limits of the container."""
        return Limits(**self.limits)


def key(option: Option) -> str:
    """Return the name of *option* in campaign.yaml."""
    return option.flag.removeprefix("--").replace("-", "_")


def run_options() -> dict[str, Option]:
    """The options of a LoadGen test that campaign.yaml can give, by their names there."""
    return {key(each): each for each in declared(RunOptions) if not each.only_harness and each.name not in _DECIDED}


def known(model: ModelSpec | None) -> list[str]:
    """The names of all options; of a *model* too, where one is given."""
    return [*run_options(), *_LIMITS, *_of_model(model)]


def given(raw: Mapping[str, Any], model: ModelSpec | None) -> tuple[CampaignOptions, list[tuple[str, str]]]:
    """Return the options that *raw* gives, and name and message of each one that cannot be.

    model: whose own options may be among them; None where options are for all models.
    """
    own, of_model = run_options(), _of_model(model)
    found: dict[str, dict[str, Any]] = {"run": {}, "limits": {}, "model": {}}
    problems = []
    for name, value in raw.items():
        try:
            if name in own:
                found["run"][own[name].name] = typed(own[name], value)
            elif name in _LIMITS:
                found["limits"][name] = _limit(name, value)
            elif name in of_model:
                found["model"][of_model[name].flag.removeprefix("--")] = typed(of_model[name], value)
            else:
                raise UnknownNameError("option", name, known(model))
        except UsageError as error:
            problems.append((name, str(error)))
    return CampaignOptions(**found), problems


def typed(option: Option, value: object) -> Any:  # noqa: ANN401  # of option.kind
    """Return *value*, as YAML has it, as a value of *option*. Raises UsageError."""
    if issubclass(option.kind, StrEnum):
        return parse_choice(option.noun, str(value), option.kind)
    plain = _plain(option.kind, value)
    if plain is None:
        raise UsageError(f"{value!r} is no {_CALLED[option.kind]}")
    refusal = option.refusal(plain)
    if refusal:
        raise UsageError(refusal)
    return plain


_CALLED = {bool: "yes or no: write true or false", int: "whole number", float: "number", str: "text"}


def _plain(kind: type, value: object) -> Any:  # noqa: ANN401  # of *kind*
    """Return *value* as a *kind*, or None where it is none."""
    if isinstance(value, bool) or kind is bool:
        return value if kind is bool and isinstance(value, bool) else None
    if kind is float and isinstance(value, int | float):
        return float(value)
    if kind is str and isinstance(value, int | str):
        return str(value)
    return value if isinstance(value, kind) else None


def _limit(name: str, value: object) -> Any:  # noqa: ANN401  # of the limit's type
    plain = _plain(_LIMITS[name], value)
    if plain is None:
        raise UsageError(f"{value!r} is no {_CALLED[_LIMITS[name]]}")
    Limits(**{name: plain}).check()
    return plain


def _of_model(model: ModelSpec | None) -> dict[str, Option]:
    declarations = (each.declared.option() for each in model.options_of("run")) if model else ()
    return {each.name: each for each in declarations}
