"""System error inside an exception of requests or docker-py, which wrap it several times."""

from collections.abc import Iterator


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield *error* and what lies beneath it, the innermost last."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        inner = [each for each in (getattr(seen, "reason", None), *seen.args) if isinstance(each, BaseException)]
        seen = inner[0] if inner else seen.__cause__ or seen.__context__


def of_the_system(error: BaseException) -> str:
    """Return what the system said, as "Connection refused", or "" where the cause is none of its errors."""
    return next((each.strerror for each in chain(error) if isinstance(each, OSError) and each.strerror), "")
