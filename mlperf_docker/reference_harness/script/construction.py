"""Construction of a class of the reference with the sizes of synthetic weights, where its scripts know others alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FILE = "sizes.json"
"""File in the working folder: arguments by name. Lists become arrays."""

Construct = Callable[..., None]


def resized(construct: Construct) -> Construct:
    """`__init__` that takes the arguments in FILE, if that is there, in place of those that it is given by name."""

    def constructed(*given: Any, **named: Any) -> None:  # noqa: ANN401 (an object of the reference, and any arguments)
        construct(*given, **{**named, **_sizes(Path(FILE))})

    return constructed


def _sizes(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {name: np.array(value) if isinstance(value, list) else value for name, value in found.items()}
