"""Operators of PyTorch that a package has in a library of its own, defined where that library does not load.

A build for CUDA does not load beside PyTorch for processors. Its Python part does once its operators are there.
"""

import functools
import importlib.util
import sys
from importlib.machinery import PathFinder
from typing import Any

import torch

LIBRARY = "_C"
"""What packages call their library."""
_kept: list[Any] = []
"""Operators live as long as the library object that defined them."""


def define(schema: str, implementation: Any) -> None:  # noqa: ANN401 (a function of tensors)
    """Define the operator *schema*, `package::name(…) -> …`, as *implementation*; one that is there stays as it is."""
    package, _, local = schema.partition("::")
    name = local.partition("(")[0]
    _load_library(package)
    if hasattr(getattr(torch.ops, package), name):
        return
    defined = torch.library.Library(package, "FRAGMENT")
    defined.define(local)
    defined.impl(name, implementation, "CompositeExplicitAutograd")
    _kept.append(defined)


@functools.cache
def _load_library(package: str) -> None:
    """Load the library of *package*; say so where it does not load."""
    found = importlib.util.find_spec(package)
    library = found and PathFinder.find_spec(LIBRARY, found.submodule_search_locations)
    if library is None or library.origin is None:
        return
    try:
        torch.ops.load_library(library.origin)
    except OSError as error:
        sys.stderr.write(f"{package}: its library does not load, some operators are given back: {error}\n")
