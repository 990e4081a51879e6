"""Architectures of all networks, each a function over operations and named weights."""
