"""Imports of frameworks, without what they print about themselves."""

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def _aside() -> Iterator[None]:
    """Hold back what is written to file descriptor 2, also by libraries; show it only if the block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(kept, notes.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def load(name: str) -> ModuleType:
    """The module *name*. TensorFlow announces its settings before any of them can keep it quiet."""
    if name in sys.modules:
        return importlib.import_module(name)
    with _aside():
        return importlib.import_module(name)
