"""Inputs of a run: model files and data sets."""
