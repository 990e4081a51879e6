"""JSON that every reader accepts: no NaN, no infinity, no lone surrogates."""

import json
import math
import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")


def dumps(value: Any) -> str:  # noqa: ANN401  # whatever JSON can hold
    """Return *value* as indented ASCII. Numbers that are not finite become null, lone surrogates U+FFFD."""
    return json.dumps(_strict(value), indent=2, allow_nan=False)


def _strict(value: Any) -> Any:  # noqa: ANN401
    match value:
        case str():
            return _SURROGATE.sub("\ufffd", value)
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {_strict(key): _strict(each) for key, each in value.items()}
        case list() | tuple():
            return [_strict(each) for each in value]
        case _:
            return value
