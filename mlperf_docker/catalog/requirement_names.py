"""Names of Python distributions in their canonical form."""

import re
from functools import lru_cache


@lru_cache(maxsize=4096)
def canonical(name: str) -> str:
    """Return a distribution's name, without extras and versions, in the one spelling that PEP 503 gives it."""
    bare = re.split(r"[\[<>=~!; ]", name, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", bare).lower()
