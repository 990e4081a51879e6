"""The cell an image was built for: the few facts of images.yaml that the harness needs, baked in as cell.json."""

import json
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.contract.devices import Device
from mlperf_docker.harness.api.errors import UsageError


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """An official model file: its name below /models and its checksums, whichever upstream publishes."""

    name: str
    precision: str
    format: str
    md5: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """Model, backend and device of a run, and the accuracy target of the closed division, where it is known."""

    model: str
    backend: str
    device: Device
    precisions: tuple[str, ...] = ("fp32",)
    target: float | None = None
    files: tuple[OfficialFile, ...] = ()

    def official(self, precision: str) -> OfficialFile | None:
        """The official file for *precision*, or None where there is none."""
        return next((file for file in self.files if file.precision == precision), None)


def read(path: Path) -> Cell:
    """Read a cell.json. Raises UsageError, with the path, if it is missing or lacks a key."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        keys = ("name", "precision", "format", "md5", "sha256")
        files = tuple(OfficialFile(**{key: file.get(key) for key in keys}) for file in raw.get("files", ()))
        return Cell(
            model=raw["model"],
            backend=raw["backend"],
            device=Device(raw["device"]),
            precisions=tuple(raw.get("precisions", ("fp32",))),
            target=raw.get("accuracy", {}).get("target"),
            files=files,
        )
    except OSError as error:
        raise UsageError(f"cannot read the cell description {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} does not describe a cell: {error!r}") from error


def resolve(path: Path | None, *, model: str | None, backend: str | None, device: str | None) -> Cell:
    """The cell in *path* with what the command line names put in its place.

    path: None where there is no cell.json (a checkout); then model and backend must be given, and device defaults to
    cpu. Official files and the target are kept only if they are still this model's. Raises UsageError.
    """
    known = read(path) if path else None
    if known is None and not (model and backend):
        raise UsageError("no cell.json: say --model and --backend", hint="Or name the file with --cell or MLPERF_CELL.")
    chosen_model = model or (known.model if known else "")
    chosen_backend = backend or (known.backend if known else "")
    same_model = known is not None and known.model == chosen_model
    same_backend = same_model and known is not None and known.backend == chosen_backend
    return Cell(
        model=chosen_model,
        backend=chosen_backend,
        device=Device(device) if device else (known.device if known else Device.CPU),
        precisions=known.precisions if known and same_backend else ("fp32",),
        target=known.target if known and same_model else None,
        files=known.files if known and same_backend else (),
    )
