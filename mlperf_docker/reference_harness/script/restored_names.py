"""Names and calls that packages once had and code of the checkout still uses, given back before a script starts.

That is names that they have dropped, and calls that have since come to mean something else. So the code runs unchanged
on the packages of the cell's image, the same that our own harness measures.
"""

import importlib
import importlib.util
import sys
from typing import Any

OPERATOR = "::"
"""Between the namespace of an operator, which is the name of its package, and its own name."""


def restore(name: str, place: str) -> None:
    """Make *name*, a module or something in one, mean what is at *place*; a name that is there stays as it is.

    With `::` it is an operator of PyTorch, and its schema. Nothing happens where the package is not installed: then the
    script does not use it either, or says so itself.
    """
    if OPERATOR in name:
        _restore_operator(name, place)
        return
    if not _is_installed(name, place):
        return
    owner, _, last = name.rpartition(".")
    if not owner:
        sys.modules.setdefault(name, importlib.import_module(place))
        return
    holder = _resolve(owner)
    if not hasattr(holder, last):
        setattr(holder, last, _resolve(place))


def adapt(name: str, place: str) -> None:
    """Give the call *name* its old meaning: what the function at *place* makes of the call as it is.

    As with a name, nothing happens where the package is not installed.
    """
    if _is_there(name):
        owner, _, last = name.rpartition(".")
        holder = _resolve(owner)
        setattr(holder, last, _resolve(place)(getattr(holder, last)))


def _restore_operator(schema: str, place: str) -> None:
    if importlib.util.find_spec(schema.partition(OPERATOR)[0]) is None:
        return
    restored_operators = importlib.import_module("mlperf_docker.reference_harness.script.restored_operators")
    restored_operators.define(schema, _resolve(place))


def _is_installed(name: str, place: str) -> bool:
    return _is_there(place) and ("." in name or importlib.util.find_spec(name) is None)


def _is_there(name: str) -> bool:
    return importlib.util.find_spec(name.partition(".")[0]) is not None


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
