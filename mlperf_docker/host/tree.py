"""Tree of /proc and /sys below a root folder, read without ever raising."""

import os
import re
from pathlib import Path

_MOST_BYTES = 1 << 16
_MOST_NUMBERS = 1 << 16


class Tree:
    """Files below a root folder. Of what is absent, closed to us or of another form, every reading is None."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self._prefix = str(root).rstrip("/")

    def data(self, path: str, most: int = _MOST_BYTES) -> bytes | None:
        """Return what is in the file, of a longer one its first *most* bytes."""
        try:
            descriptor = os.open(self._prefix + path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            return None
        try:
            found = b""
            while len(found) < most and (part := os.read(descriptor, most - len(found))):
                found += part
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return found

    def text(self, path: str) -> str | None:
        """Return the text in the file, without blanks and NUL around it; None if there is none."""
        found = self.data(path)
        return (found.decode(errors="replace").strip(" \t\r\n\0") or None) if found is not None else None

    def number(self, path: str) -> int | None:
        """Return the whole number in the file."""
        return whole(self.text(path))

    def numbers(self, path: str) -> frozenset[int] | None:
        """Return the numbers of a kernel's list, as `0-3,8`."""
        return numbers(self.text(path) or "")

    def names(self, folder: str) -> list[str]:
        """Return the names in the folder, sorted; none where it is not there."""
        try:
            return sorted(os.listdir(self._prefix + folder))  # noqa: PTH208  # a tenth of the time
        except OSError:
            return []

    def has(self, path: str) -> bool:
        """Tell whether there is such a file or folder."""
        return os.path.exists(self._prefix + path)  # noqa: PTH110  # never raises

    def link(self, path: str) -> str | None:
        """Return the last part of what the link names."""
        try:
            return os.path.basename(os.readlink(self._prefix + path)) or None  # noqa: PTH115, PTH119
        except OSError:
            return None


def whole(text: str | None) -> int | None:
    """Return the whole number that *text* is; None for one that no counter of the kernel's can be."""
    return int(text) if text and re.fullmatch(r"[+-]?[0-9]{1,20}", text) else None


def numbers(text: str) -> frozenset[int] | None:
    """Return the numbers of a kernel's list, as `0-3,8`; None where the text is no list."""
    found: set[int] = set()
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            each = range(int(first), int(last or first) + 1)
            if len(each) + len(found) > _MOST_NUMBERS:
                return None
            found.update(each)
    except ValueError:
        return None
    return frozenset(found)
