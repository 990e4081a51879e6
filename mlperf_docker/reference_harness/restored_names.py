"""Names that packages once had and code of the checkout still uses, given back to them before a script starts.

So the code runs unchanged on the packages of the cell's image, the same that our own harness measures.
"""

import importlib
import importlib.util
import sys
from typing import Any


def restore(name: str, place: str) -> None:
    """Make *name*, a module or something in one, mean what is at *place*; a name that is there stays as it is.

    Nothing happens where the package is not installed: then the script does not use it either, or says so itself.
    """
    if not _is_installed(name, place):
        return
    owner, _, last = name.rpartition(".")
    if not owner:
        sys.modules.setdefault(name, importlib.import_module(place))
        return
    holder = _resolve(owner)
    if not hasattr(holder, last):
        setattr(holder, last, _resolve(place))


def _is_installed(name: str, place: str) -> bool:
    top = place.partition(".")[0]
    there = importlib.util.find_spec(top) is not None
    return there and ("." in name or importlib.util.find_spec(name) is None)


def _resolve(name: str) -> Any:  # noqa: ANN401 (a module, or whatever one holds)
    """The module *name*, or the attribute of one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(f"no module holds {name}")
