"""Printable text: control characters in names, results and output of containers are escaped."""

import re

# C0, DEL and C1; separators of lines; marks that turn text's direction; lone surrogates, which stand for no character.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_BUT_LAYOUT = re.compile(f"(?![\n\t]){_CONTROL.pattern}")
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def one_line(text: str) -> str:
    r"""Return *text* on one line, with `\x1b` for an escape character and `\n` for a line end."""
    return _CONTROL.sub(_written_out, text)


def lines(text: str) -> str:
    """Return the same, with its line ends and tabs as they are."""
    return _CONTROL_BUT_LAYOUT.sub(_written_out, text)


def shortened(text: str, length: int) -> str:
    """Return *text* on one line, and of a longer one than *length* the beginning."""
    return one_line(text) if len(text) <= length else f"{one_line(text[:length])}…"


def has_bytes(text: str) -> bool:
    """Tell whether *text* has bytes of a file name that are no characters."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not in the locale's encoding
        code -= 0xDC00
    return _NAMED.get(found[0]) or (f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}")
