"""Facilities of this machine: files, folders, locks, signals, threads, configuration files, secrets."""
