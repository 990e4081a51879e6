"""Check of the systems' descriptions, systems/<system>.json."""

from collections.abc import Iterator
from typing import Any

from mlperf_docker.rounds.words import Division
from mlperf_docker.submission.checks.examined import ExaminedSystem, ExaminedTree
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.findings import TreeFinding
from mlperf_docker.systems.keys import KEYS, NETWORK_MODE


def check(examined: ExaminedTree) -> Iterator[TreeFinding]:
    """Yield what is wrong with each description, and descriptions of systems that have no results."""
    for system in examined.systems:
        if system.description is not None:
            yield from _described(examined, system, system.description)
        elif not examined.tree.has_file(path := str(system.organisation.system(system.name))):
            yield TreeFinding(Fault.SYSTEM_MISSING, path)
    yield from _unused(examined)


def _unused(examined: ExaminedTree) -> Iterator[TreeFinding]:
    used = {str(system.organisation.system(system.name)) for system in examined.systems}
    for organisation in examined.organisations:
        for node in examined.tree.within(str(organisation.systems)):
            if node.name.endswith(".json") and node.path not in used:
                yield TreeFinding(Fault.SYSTEM_UNUSED, node.path)


def _described(examined: ExaminedTree, system: ExaminedSystem, said: dict[str, Any]) -> Iterator[TreeFinding]:
    path = str(system.organisation.system(system.name))
    for fault, key, what in (*_keys(examined, said), *_values(said), *_place(system, said)):
        yield TreeFinding(fault, path, what, key)


def _keys(examined: ExaminedTree, said: dict[str, Any]) -> Iterator[tuple[Fault, str, str]]:
    for key in examined.round.system_keys:
        if key not in said:
            yield Fault.SYSTEM_KEY_MISSING, key, "missing"
        elif not said[key] and key in examined.round.filled_system_keys:
            yield Fault.SYSTEM_KEY_EMPTY, key, _shown(said[key])
        elif not isinstance(said[key], str):
            yield Fault.SYSTEM_KEY_TYPE, key, f"{_shown(said[key])} is no text"


def _values(said: dict[str, Any]) -> Iterator[tuple[Fault, str, str]]:
    for key in KEYS:
        value = said.get(key.name)
        if not isinstance(value, str) or not value:
            continue
        if key.name != "division" and not key.has_word(value):
            yield Fault.SYSTEM_VALUE, key.name, _shown(value)
        if not key.has_count(value):
            yield Fault.SYSTEM_KEY_TYPE, key.name, f"{_shown(value)} is no whole number"


def _place(system: ExaminedSystem, said: dict[str, Any]) -> Iterator[tuple[Fault, str, str]]:
    """Yield what the folders say otherwise."""
    organisation = system.organisation
    for key, folder in (("division", str(organisation.division)), ("submitter", organisation.submitter)):
        value = said.get(key)
        if isinstance(value, str) and value and value.lower() != folder.lower():
            yield Fault.SYSTEM_ELSEWHERE, key, f"{_shown(value)}, the folder says {folder}"
    over_network = str(said.get(NETWORK_MODE, "")).lower() == "true"
    if over_network and organisation.division is Division.CLOSED:
        yield Fault.SYSTEM_NETWORK, NETWORK_MODE, _shown(said[NETWORK_MODE])


def _shown(value: object) -> str:
    """The value as JSON would have it, as far as a line has room."""
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
