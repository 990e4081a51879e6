"""Check of a description: all problems at once for a round, and differences from the host as warnings."""

from pathlib import Path

import pytest

from mlperf_docker.host.facts import HostFacts
from mlperf_docker.host.probing import probe
from mlperf_docker.host.tree import Tree
from mlperf_docker.rounds.loading import load
from mlperf_docker.systems import checking, suggestion
from mlperf_docker.systems.description import System
from mlperf_docker.systems.keys import KEYS
from tests.host import trees

NEWEST = load().newest
BY_HAND = {"status": "available", "system_type": "edge", "cooling": "air", "accelerator_host_interconnect": "PCIe"}
BY_HAND |= {
    "accelerator_memory_capacity": "24 GB",
    "accelerator_memory_configuration": "GDDR6",
    "accelerator_interconnect": "N/A",
    "host_memory_configuration": "8x 64 GB",
    "host_networking_topology": "N/A",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> HostFacts:
    return probe(Tree(trees.write(tmp_path_factory.mktemp("server"), trees.TWO_SOCKETS)), lambda: None)


@pytest.fixture
def whole(server: HostFacts) -> dict[str, str]:
    """A description that was completed."""
    return {**suggestion.suggested(server), **BY_HAND}


def found(values: dict[str, str], host: HostFacts | None = None) -> checking.DescriptionFindings:
    return checking.check(System("box", values, Path("box.yaml")), NEWEST, host)


def test_a_completed_description_has_no_findings(whole: dict[str, str], server: HostFacts) -> None:
    assert found(whole, server) == checking.DescriptionFindings((), ())


def test_problems_of_a_description_are_told_together(whole: dict[str, str]) -> None:
    spoilt = {
        **whole,
        "status": "soon",
        "system_type": "edge, datacenter",
        "accelerators_per_node": "N/A",
        "number_of_nodes": "two",
        "cooling": "",
        "is_network": "false",
    }
    del spoilt["operating_system"]
    problems = found(spoilt).problems
    assert {each.split()[0] for each in problems} == {"operating_system"} | {
        key for key, value in spoilt.items() if whole.get(key) != value
    }
    told = "\n".join(problems)
    assert "status is 'soon': write available or preview or rdi" in told
    assert "cooling is empty: as air" in told
    assert "operating_system is missing" in told


def test_a_status_may_be_in_any_case_but_a_system_type_may_not(whole: dict[str, str]) -> None:
    assert found({**whole, "status": "Available"}).problems == ()
    assert found({**whole, "system_type": "Edge"}).problems != ()


def test_keys_that_the_tree_fills_in_may_be_empty(whole: dict[str, str]) -> None:
    later = {key.name: "" for key in KEYS if key.later}
    assert set(later) == {"division", "submitter", "framework", "other_software_stack"}
    assert found({**whole, **later}).problems == ()


def test_every_round_asks_for_keys_that_a_description_has() -> None:
    known = {key.name for key in KEYS}
    optional = {key.name for key in KEYS if key.optional}
    for each in load().all:
        assert set(each.system_keys) <= known
        assert optional.isdisjoint(each.filled_system_keys), "a key may not be empty in a round"


def test_a_key_that_no_round_has_is_a_warning_with_the_nearest(whole: dict[str, str]) -> None:
    assert found({**whole, "coolling": "air", "qqq": "1"}).warnings == (
        "coolling is no key of round v6.1: is it cooling?",
        "qqq is no key of round v6.1",
    )


@pytest.mark.parametrize(
    ("key", "value", "differs"),
    [
        ("host_processors_per_node", "1", True),
        ("host_processors_per_node", "02", False),
        ("host_processor_core_count", "8", True),
        ("host_processor_model_name", "big cpu (R)", False),
        ("host_processor_model_name", "Other CPU", True),
        ("host_memory_capacity", "512 GB", False),
        ("host_memory_capacity", "0.5 TiB", False),
        ("host_memory_capacity", "1 TB", True),
        ("accelerators_per_node", "0", True),
        ("accelerator_model_name", "NVIDIA H100", True),
        ("operating_system", "Debian 12", False),
        ("operating_system", "Ubuntu 24.04", True),
        ("host_storage_capacity", "1 GB", False),
    ],
)
def test_a_difference_from_the_host_is_a_warning_that_says_both(
    whole: dict[str, str], server: HostFacts, key: str, value: str, differs: bool
) -> None:
    warnings = found({**whole, key: value}, server).warnings
    probed = suggestion.suggested(server)[key]
    assert warnings == ((f"{key} is {value!r}, this host has {probed!r}",) if differs else ())
    assert found({**whole, key: value}).warnings == ()


def test_a_host_of_which_nothing_is_known_differs_from_nothing(whole: dict[str, str]) -> None:
    assert found(whole, HostFacts()).warnings == ()
