"""User and bounds of a container, derived from the engine's description of itself."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from mlperf_docker.engine.plan import ContainerUser

_TMP_BYTES = 4 * 2**30
_PROCESSES, _PROCESSES_PER_PROCESSOR = 4096, 128


def surroundings(info: Mapping[str, Any]) -> ContainerUser:
    """Return what follows from *info*, the engine's words about itself, for a container of the caller's."""
    modes, processes, tmp_bytes = security_modes(info), _processes(info), _tmp_bytes(info)
    if "rootless" in modes:  # its root is the caller, and of other users and groups it knows the caller's subordinates
        return ContainerUser("0:0", processes=processes, tmp_bytes=tmp_bytes)
    return ContainerUser(
        f"{os.getuid()}:{os.getgid()}",
        groups=tuple(sorted(set(os.getgroups()) - {os.getgid()})),
        userns="host" if "userns" in modes else None,  # users that are mapped could not write to the caller's folders
        processes=processes,
        tmp_bytes=tmp_bytes,
    )


def _processes(info: Mapping[str, Any]) -> int:
    """Return the most processes, among which threads count.

    Each of as many workers as there are processors may start a BLAS of up to 64 threads, and a backend has several
    pools of a thread a processor: twice that, and room for a --workers or --instances of the user's.
    """
    return _PROCESSES + _PROCESSES_PER_PROCESSOR * int(info.get("NCPU") or os.cpu_count() or 1)


def _tmp_bytes(info: Mapping[str, Any]) -> int:
    """Return the size of /tmp: half of the memory, as by default, but no more than a large model unpacked there."""
    return min(_TMP_BYTES, int(info.get("MemTotal") or 2 * _TMP_BYTES) // 2)


def security_modes(info: Mapping[str, Any]) -> set[str]:
    """Return the names among the engine's security options, as "userns" for users that are mapped, and "rootless"."""
    return set(_names(info))


def _names(info: Mapping[str, Any]) -> Iterator[str]:
    for option in info.get("SecurityOptions") or ():
        for word in option.split(","):
            key, _, value = word.partition("=")
            yield value if key == "name" else ""
