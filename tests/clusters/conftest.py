"""Campaigns of tests see no engine and no cache of the user's."""

from tests.campaigns.conftest import apart

__all__ = ["apart"]
