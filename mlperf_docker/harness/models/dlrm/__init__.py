"""DLRM on the Criteo Terabyte click logs: recommendation."""

NAME = "dlrm"
"""The model's name in images.yaml."""
