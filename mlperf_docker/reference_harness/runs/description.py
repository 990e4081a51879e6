"""Description of the reference implementation: reference.json of the layer."""

import os
from pathlib import Path

from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.reference_contract import places, reference
from mlperf_docker.reference_contract.reference import ReferenceImplementation


def load() -> ReferenceImplementation:
    """The description beside the harness, or that which the environment names. Raises UsageError without one."""
    path = Path(os.environ.get(places.DESCRIPTION_VARIABLE) or places.DESCRIPTION)
    try:
        return reference.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = f"Name a reference.json with {places.DESCRIPTION_VARIABLE}."
        raise UsageError(f"cannot read the reference's description {path}: {error.strerror}", hint=hint) from error
    except ValueError as error:
        raise UsageError(f"{path} does not describe a reference: {error}") from error
