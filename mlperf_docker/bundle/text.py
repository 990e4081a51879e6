"""Text of a bundle for people."""

from typing import TYPE_CHECKING

from mlperf_docker.display.sizes import readable

if TYPE_CHECKING:
    from mlperf_docker.bundle.manifest import Manifest


def bundle_text(manifest: "Manifest") -> str:
    """What `bundle verify` found whole: a line per image, then what else is in the bundle and what is not."""
    whole = f"{len(manifest.files)} files, {readable(manifest.size_bytes)}: all as they were written"
    files = [f"{file.model}/{file.name} ({readable(file.size_bytes)})" for file in manifest.model_files]
    return "\n".join(
        (
            *(f"{cell.tag}, on {cell.base} ({cell.base_origin})" for cell in manifest.cells),
            *(f"model file {file}" for file in files),
            *(f"model file {name}: not in the bundle" for name in manifest.missing),
            f"formats: {', '.join(manifest.kinds)}",
            f"{whole} by mlperf-docker {manifest.version}, commit {manifest.revision}.",
        )
    )
