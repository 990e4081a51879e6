"""Backends: the frameworks that run a model."""
