"""Container runtimes: one protocol, and what speaks it."""
