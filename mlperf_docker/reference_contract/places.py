"""Paths in a container of the reference harness, besides those of every container."""

from mlperf_docker.contract import places

CHECKOUT = "/reference"
"""The user's checkout of mlcommons/inference, read only."""
DESCRIPTION = f"{places.HOME}/reference.json"
"""The facts of images.yaml about the reference implementation."""
DESCRIPTION_VARIABLE = "MLPERF_REFERENCE"
"""Path of another reference.json."""
VENV = "/opt/reference"
"""The virtual environment of a reference whose packages do not fit beside the harness's."""
