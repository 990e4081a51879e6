"""Values of the options that only one model has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


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
    words = {name: str(value) for name, value in values.items() if isinstance(value, str)}
    return ModelOptions(numbers, words)
