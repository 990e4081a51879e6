"""Installed packages as `pkg_resources` named them, which setuptools no longer has: its `working_set`."""

from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True)
class Installed:
    """Package that is installed."""

    key: str
    """Its name in small letters."""


working_set = tuple(Installed(each.metadata["Name"].lower()) for each in metadata.distributions())
