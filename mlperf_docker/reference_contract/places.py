"""Paths in a container of the reference harness, besides those of every container."""

from mlperf_docker.contract import places

CHECKOUT = "/reference"
"""The user's checkout of mlcommons/inference, read only."""
DESCRIPTION = f"{places.HOME}/reference.json"
"""The facts of images.yaml about the reference implementation."""
DESCRIPTION_VARIABLE = "MLPERF_REFERENCE"
"""Path of another reference.json."""
RESTORED_VARIABLE = "MLPERF_REFERENCE_RESTORED"
"""Names that the launcher gives back to packages, as a JSON object."""
WATCHED_VARIABLE = "MLPERF_REFERENCE_WATCHED"
"""Order to note when samples are completed, and to end the script when that suffices, as a JSON object."""
ADAPTED_VARIABLE = "MLPERF_REFERENCE_ADAPTED"
"""Calls to which it gives their old meaning, as a JSON object."""
VENV = "/opt/reference"
"""The virtual environment of a reference whose packages do not fit beside the harness's."""
