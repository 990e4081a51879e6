"""Descriptions as `system init` writes them: read from the host, and marked where a person has to go on."""

from pathlib import Path

import pytest

from mlperf_docker.errors import UsageError
from mlperf_docker.host.facts import HostFacts
from mlperf_docker.host.probing import probe
from mlperf_docker.host.tree import Tree
from mlperf_docker.systems import description, suggestion, writing
from mlperf_docker.systems.keys import BY_NAME, KEYS
from tests.host import trees

SMI = "NVIDIA L4, 23034, 72.00, 580.95.05\n" * 2


def host_of(root: Path, files: trees.Files, smi: str | None = None) -> HostFacts:
    return probe(Tree(trees.write(root, files)), lambda: smi)


def test_a_servers_description_has_what_could_be_read(tmp_path: Path) -> None:
    host = host_of(tmp_path / "root", trees.TWO_SOCKETS, SMI)
    name = suggestion.folder_name(host)
    assert name == "2x-big-cpu-2x-nvidia-l4"
    writing.write(tmp_path / "box.yaml", name, suggestion.suggested(host), force=False)
    system = description.load(tmp_path / "box.yaml")
    assert (system.name, list(system.values)) == (name, [key.name for key in KEYS])
    filled = {key: value for key, value in system.values.items() if value}
    assert filled == {
        "system_name": "Dell Inc. PowerEdge R750, 2x Big CPU, 2x NVIDIA L4",
        "number_of_nodes": "1",
        "host_processor_model_name": "Big CPU",
        "host_processors_per_node": "2",
        "host_processor_core_count": "4",
        "host_memory_capacity": "512 GiB",
        "host_storage_capacity": "8.32 TB",
        "host_storage_type": "NVMe SSD, HDD, SSD",
        "accelerators_per_node": "2",
        "accelerator_model_name": "NVIDIA L4",
        "accelerator_memory_capacity": "22.49 GiB",
        "operating_system": "Debian GNU/Linux 12 (bookworm), Linux 6.1.0-18-amd64",
        "host_processor_frequency": "base 2 GHz, up to 3.7 GHz",
        "host_processor_caches": "4 x L1d 32 KiB, 4 x L1i 32 KiB, 4 x L2 1 MiB, 1 x L3 32 MiB",
        "host_memory_configuration": "8 x 64 GiB Registered-DDR5",
        "host_networking": "1 Gbit/s Ethernet, 100 Gbit/s Ethernet",
        "host_networking_topology": "N/A",
        "host_network_card_count": "2",
    }


def test_a_host_without_gpus_has_none_in_every_key(tmp_path: Path) -> None:
    values = suggestion.suggested(host_of(tmp_path, trees.BARE_PROC))
    accelerators = {key: value for key, value in values.items() if key.startswith("accelerator")}
    assert accelerators.pop("accelerators_per_node") == "0"
    assert len(accelerators) == 8
    assert set(accelerators.values()) == {"N/A"}
    assert values["system_type_detail"] == "virtual machine"


def test_a_host_of_which_nothing_is_known_suggests_little() -> None:
    assert suggestion.suggested(HostFacts()) == {"number_of_nodes": "1", "host_networking_topology": "N/A"}
    assert description.is_name(suggestion.folder_name(HostFacts()))


@pytest.mark.parametrize("shape", trees.SHAPES)
def test_a_description_of_any_host_is_read_back_as_it_was_written(tmp_path: Path, shape: str) -> None:
    values = suggestion.suggested(host_of(tmp_path / "root", trees.SHAPES[shape]))
    name = suggestion.folder_name(host_of(tmp_path / "root", {}))
    writing.write(tmp_path / "box.yaml", name, values, force=False)
    system = description.load(tmp_path / "box.yaml")
    assert (system.name, {key: each for key, each in system.values.items() if each}) == (name, values)


def test_empty_values_say_what_belongs_there(tmp_path: Path) -> None:
    odd = {"cooling": 'a "quoted" \\ text: # no comment \n\t\x07 ü 😀'}
    lines = {line.partition(":")[0]: line for line in writing.text("box", odd, "box.yaml").splitlines()}
    assert lines["status"] == 'status: ""  # fill in: available | preview | rdi (availability)'
    assert lines["framework"] == 'framework: ""  # empty: that of the results'
    assert "fill in" not in lines["cooling"]
    asked = {key for key, line in lines.items() if "# fill in" in line}
    assert asked == {key.name for key in KEYS if not key.may_stay_empty} - {"cooling"}
    writing.write(tmp_path / "box.yaml", "box", odd, force=False)
    assert description.load(tmp_path / "box.yaml").values["cooling"] == odd["cooling"]


def test_a_description_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "box.yaml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        writing.write(path, "box", {}, force=False)
    assert path.read_text() == "mine"
    writing.write(path, "box", {}, force=True)
    assert description.load(path).name == "box"


@pytest.mark.parametrize("name", ["", "a b", "../up"])
def test_a_name_that_cannot_be_is_refused_before_a_file_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a system"):
        writing.write(tmp_path / "box.yaml", name, {}, force=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_place_for_a_description(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        writing.write(tmp_path, "box", {}, force=True)


def test_words_of_keys_are_told_in_the_file() -> None:
    assert all(" | ".join(key.words) in writing.text("box", {}, "f") for key in BY_NAME.values() if key.words)
