"""Interfaces of the harness, imported by all of its packages; no framework is imported here."""
