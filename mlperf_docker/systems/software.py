"""Software of a system's runs, as their results have it."""

from collections.abc import Iterable, Iterator

from mlperf_docker.host import facts
from mlperf_docker.results.values import RunResult
from mlperf_docker.systems.description import Software

_OF_ALL = {"python": "Python", "loadgen": "LoadGen", "numpy": "numpy"}
"""What every image has, under the names in `versions`; the others are frameworks."""


def software_of(results: Iterable[RunResult]) -> Software:
    """Return frameworks and other software of *results*, each version once, in the order of the results."""
    found = list(results)
    frameworks = (text for each in found for text in _frameworks(each))
    others = (text for each in found for text in _others(each))
    return Software(", ".join(dict.fromkeys(frameworks)), ", ".join(dict.fromkeys(others)))


def _frameworks(result: RunResult) -> list[str]:
    """Return what is in the image besides; where no version is known, the backend by its name."""
    return [f"{name} {version}" for name, version in result.versions.items() if name not in _OF_ALL] or [result.backend]


def _others(result: RunResult) -> Iterator[str]:
    for name, title in _OF_ALL.items():
        if name in result.versions:
            yield f"{title} {result.versions[name]}"
    host = facts.read(result.host)
    if host is not None and host.engine.name:
        yield " ".join(filter(None, (host.engine.name, host.engine.version)))
    for gpu in (host.gpus or ()) if host is not None and result.device.profile.is_accelerator else ():
        if gpu.driver:
            yield f"driver {gpu.driver}"
    if result.image is not None:
        yield f"base {result.image.base}"
    if result.harness is not None:
        yield f"reference implementation of MLPerf Inference, commit {result.harness.commit or 'unknown'}"
