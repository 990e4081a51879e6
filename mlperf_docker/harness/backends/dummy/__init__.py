"""Dummy backend, which computes nothing."""
