"""Facilities of the container: files, locks, signals, memory, GPUs."""
