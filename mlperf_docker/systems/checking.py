"""Check of a system description against a round and the host."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mlperf_docker.catalog.selector import nearest
from mlperf_docker.host.facts import HostFacts
from mlperf_docker.rounds.round import Round
from mlperf_docker.systems.description import System
from mlperf_docker.systems.keys import BY_NAME, NETWORK_MODE, SystemKey
from mlperf_docker.systems.suggestion import suggested

_COMPARED = (
    "host_processor_model_name",
    "host_processors_per_node",
    "host_processor_core_count",
    "host_memory_capacity",
    "accelerators_per_node",
    "accelerator_model_name",
    "accelerator_memory_capacity",
    "operating_system",
)
"""Keys in which a description and its host should agree; a system may leave disks and network cards out."""
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGTP])i?B", re.IGNORECASE)
_UNITS = {unit: 1000.0**power for power, unit in enumerate("KMGTP", 1)}
_SIZES_ALIKE = 0.2
"""The part by which two sizes may differ: GB and GiB, and memory that the kernel keeps for itself."""


@dataclass(frozen=True)
class DescriptionFindings:
    """Findings of a check."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def check(system: System, round_: Round, host: HostFacts | None = None) -> DescriptionFindings:
    """Hold *system* to what *round_* asks for, and to what is known of *host*: differences from that are warnings."""
    warnings = [*_unknown(system, round_), *(_differences(system, host) if host else ())]
    return DescriptionFindings(tuple(_problems(system, round_)), tuple(warnings))


def _problems(system: System, round_: Round) -> Iterator[str]:
    for name in round_.system_keys:
        key, value = BY_NAME.get(name, SystemKey(name, "")), system.values.get(name, "")
        if not value and name in round_.filled_system_keys and not key.later:
            yield f"{name} is {'empty' if name in system.values else 'missing'}: {_wanted(key)}"
        elif value and not key.has_word(value):
            yield f"{name} is {value!r}: {_wanted(key)}"
        elif value and not key.has_count(value):
            yield f"{name} is {value!r}: write digits, and 0 for none, as upstream's exporter calculates with it"
    if NETWORK_MODE in system.values:
        yield f'{NETWORK_MODE} makes an entry of the network division, even with "false": take it out'


def _wanted(key: SystemKey) -> str:
    return f"write {' or '.join(key.words)}" if key.words else key.about or "write text"


def _unknown(system: System, round_: Round) -> Iterator[str]:
    for name in system.values:
        if name not in round_.system_keys and name != NETWORK_MODE:
            near = nearest(name, round_.system_keys)
            yield f"{name} is no key of round {round_.name}{f': is it {near}?' if near else ''}"


def _differences(system: System, host: HostFacts) -> Iterator[str]:
    here = suggested(host)
    for name in _COMPARED:
        said, probed = system.values.get(name), here.get(name)
        if said and probed and not _alike(said, probed):
            yield f"{name} is {said!r}, this host has {probed!r}"


def _alike(one: str, other: str) -> bool:
    """Tell whether two values say the same: equal numbers, sizes that are near, or all words of one in the other."""
    if one.isdigit() and other.isdigit():
        return int(one) == int(other)
    sizes = [_size(one), _size(other)]
    if all(sizes):
        return min(map(float, filter(None, sizes))) > (1 - _SIZES_ALIKE) * max(map(float, filter(None, sizes)))
    words = sorted((_words(one), _words(other)), key=len)
    return words[0] <= words[1]


def _size(text: str) -> float | None:
    found = _SIZE.fullmatch(text.strip())
    return float(found[1]) * _UNITS[found[2].upper()] if found else None


def _words(text: str) -> set[str]:
    """Return the words of *text*, without marks as (R), and in one case."""
    return set(re.findall(r"[a-z0-9.+-]+", re.sub(r"\((r|tm)\)", " ", text.lower())))
