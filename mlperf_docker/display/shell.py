"""Commands as text to paste: right in any POSIX shell, and printable whatever is in a name."""

import os
import shlex
from collections.abc import Iterable

from mlperf_docker.display import printable

# To printf % and \ are special, and - at its beginning; to an interactive shell ! is.
_SPECIAL = {"%": "%%", "\\": r"\\", "'": r"\047", "!": r"\041", "-": r"\055"}


def join(words: Iterable[str]) -> str:
    """Return *words* as one line for a shell."""
    return " ".join(map(quote, words))


def quote(word: str) -> str:
    """Return *word* quoted for a shell; control characters, which a terminal would obey, by printf.

    A shell takes line ends at the end of what printf prints away, so there they stay as they are.
    """
    if printable.one_line(word) == word or word.endswith("\n"):
        return shlex.quote(word)
    return f"\"$(printf '{''.join(map(_for_printf, word))}')\""


def _for_printf(character: str) -> str:
    if printable.one_line(character) == character:
        return _SPECIAL.get(character, character)
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))
