"""Sizes in bytes as people read them."""

_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000


def readable(size_bytes: float) -> str:
    """Return *size_bytes* in decimal units with three digits, as `97.8 MB`; below 1000 the plain count."""
    for unit in _UNITS:
        if round(size_bytes) < _STEP or unit == _UNITS[-1]:
            break
        size_bytes /= _STEP
    return f"{size_bytes:.3g} {unit}"
