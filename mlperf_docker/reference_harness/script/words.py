"""Words of a command line with placeholders, filled in."""

import string
from collections.abc import Iterable, Iterator, Mapping

from mlperf_docker.harness.api.errors import UsageError


def filled(words: Iterable[str], values: Mapping[str, object]) -> Iterator[str]:
    """Each of *words* with the values of its placeholders; one of which a value is None, or unknown, is left out.

    Raises UsageError for a placeholder without a name.
    """
    for word in words:
        names = [name for _, name, _, _ in string.Formatter().parse(word) if name is not None]
        if "" in names:
            raise UsageError(f"the word {word!r} has a placeholder without a name")
        if all(values.get(name) is not None for name in names):
            yield word.format(**values)


def filled_variables(variables: Mapping[str, str], values: Mapping[str, object]) -> dict[str, str]:
    """The variables of an environment, filled in the same way."""
    found = ((name, tuple(filled([text], values))) for name, text in variables.items())
    return {name: text[0] for name, text in found if text}
