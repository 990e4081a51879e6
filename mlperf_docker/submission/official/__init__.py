"""Upstream's own checkers, run from a checkout of the user's: what they are, their run, and what they said."""
