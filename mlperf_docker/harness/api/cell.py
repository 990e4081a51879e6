"""Cell of a run: read from cell.json, with fields that the command line overrides."""

from dataclasses import replace
from pathlib import Path

from mlperf_docker.contract import cell
from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.devices import Device
from mlperf_docker.harness.api.errors import UsageError


def read(path: Path) -> Cell:
    """Read a cell.json. Raises UsageError, with the path, if it is missing or describes no cell."""
    try:
        return cell.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the cell description {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} does not describe a cell: {error}") from error


def resolve(path: Path | None, *, model: str | None, backend: str | None, device: str | None) -> Cell:
    """The cell in *path* with what the command line names put in its place.

    path: None where there is no cell.json (a checkout); then model and backend must be given, and device defaults to
    cpu. Official files and the target are kept only if they are still this model's. Raises UsageError.
    """
    known = read(path) if path else None
    if known is None and not (model and backend):
        raise UsageError("no cell.json: say --model and --backend", hint="Or name the file with --cell or MLPERF_CELL.")
    named = Cell(
        model=model or (known.model if known else ""),
        backend=backend or (known.backend if known else ""),
        device=Device(device) if device else (known.device if known else Device.CPU),
        loadgen_key=model or (known.model if known else ""),
    )
    if known is None or named.model != known.model:
        return named
    if named.backend != known.backend:
        return replace(
            named,
            loadgen_key=known.loadgen_key,
            accuracy=known.accuracy,
            compliance=known.compliance,
            options=known.options,
        )
    return replace(known, device=named.device)
