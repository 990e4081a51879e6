"""Problems of a file's fields, in words for people."""

from pydantic import ValidationError


def told(error: ValidationError, whole: str = "") -> list[str]:
    """Return each problem as `field.of.it: message`. whole: the field of a problem of all of the file."""
    return [f"{'.'.join(map(str, each['loc'])) or whole}: {each['msg']}" for each in error.errors()]
