"""Weights out of model files of every format."""
