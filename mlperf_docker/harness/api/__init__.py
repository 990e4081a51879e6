"""Interfaces that every part of the harness stands on; no framework is imported here."""
