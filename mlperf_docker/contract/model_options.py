"""Options that only one model has: declared in images.yaml, parsed by host and harness alike."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

GREATEST = (1 << 31) - 1
"""The greatest number that an option takes."""


@dataclass(frozen=True)
class Declared:
    """An option as a model declares it for one command of the harness."""

    name: str
    """Without its dashes: `max-ind-range`."""
    choices: tuple[str, ...] = ()
    """The words that it takes; empty if it takes a whole number."""
    least: int = 1
    """The least number that it takes."""


@dataclass(frozen=True)
class ModelOptions:
    """The values that were given, by the options' names."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The options that were given."""
        return (*self.numbers, *self.words)

    def arguments(self) -> Iterator[str]:
        """The harness's command line for them."""
        yield from (f"--{name}={value}" for name, value in {**self.numbers, **self.words}.items())


def of_values(values: Mapping[str, int | str | None]) -> ModelOptions:
    """Options by name, without those that were not given."""
    numbers = {name: value for name, value in values.items() if isinstance(value, int)}
    words = {name: value for name, value in values.items() if isinstance(value, str)}
    return ModelOptions(numbers, words)
