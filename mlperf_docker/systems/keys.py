"""Keys of a system description, in the order of systems/<name>.json, with what belongs in each."""

from dataclasses import dataclass

NOT_APPLICABLE = "N/A"
"""The value of what a system does not have."""
NETWORK_MODE = "is_network"
"""The key that makes an entry one of the network division, whatever its value: upstream then asks for 12 more."""


@dataclass(frozen=True)
class SystemKey:
    """Key of systems/<name>.json."""

    name: str
    about: str
    """What belongs there."""
    words: tuple[str, ...] = ()
    """The values that are allowed; empty if it is free text."""
    is_count: bool = False
    """Whether the value must be a number in digits, as upstream's exporter calculates with it."""
    later: bool = False
    """Whether an empty value is filled in when a tree is made: from the campaign, or from the results."""
    optional: bool = False
    """Whether a tree may have it empty."""

    @property
    def may_stay_empty(self) -> bool:
        """Whether a person need not fill it in."""
        return self.later or self.optional

    def has_word(self, value: str) -> bool:
        """Tell whether *value* is one of its words, if it has any. Upstream folds the case of status alone."""
        return not self.words or (value.lower() if self.name == "status" else value) in self.words

    def has_count(self, value: str) -> bool:
        """Tell whether *value* is a number, if it has to be."""
        return not self.is_count or (value.isascii() and value.isdigit())


KEYS = (
    SystemKey("division", "empty: that of the campaign", ("open", "closed"), later=True),
    SystemKey("submitter", "organisation, as in the tree; empty: that of the campaign", later=True),
    SystemKey("status", "availability", ("available", "preview", "rdi")),
    SystemKey("system_name", "name of the system for readers: vendor, product, processors"),
    SystemKey("number_of_nodes", "machines that take part", is_count=True),
    SystemKey("host_processor_model_name", "model of the processor"),
    SystemKey("host_processors_per_node", "sockets in use"),
    SystemKey("host_processor_core_count", "cores of one processor"),
    SystemKey("host_memory_capacity", "installed memory of a node, as 512 GB"),
    SystemKey("host_storage_capacity", "disks of a node, as 2 TB"),
    SystemKey("host_storage_type", "kind of the disks, as NVMe SSD"),
    SystemKey("accelerators_per_node", "GPUs of a node that take part; 0 without", is_count=True),
    SystemKey("accelerator_model_name", "N/A without"),
    SystemKey("accelerator_memory_capacity", "of one accelerator, as 80 GB; N/A without"),
    SystemKey("framework", "empty: that of the results", later=True),
    SystemKey("operating_system", "distribution and version"),
    SystemKey(
        "system_type", "suites that the entry is for", ("edge", "datacenter", "datacenter,edge", "edge,datacenter")
    ),
    SystemKey("other_software_stack", "empty: that of the results", later=True),
    SystemKey("host_processor_frequency", "as base 2.4 GHz, boost 3.7 GHz", optional=True),
    SystemKey("host_processor_caches", "of one processor", optional=True),
    SystemKey("host_memory_configuration", "modules of a node, as 16x 32 GB DDR5-4800; N/A in a virtual machine"),
    SystemKey("host_processor_interconnect", "between sockets, as UPI; N/A with one", optional=True),
    SystemKey("host_networking", "kind of the network, as 25 GbE; N/A without"),
    SystemKey("host_networking_topology", "as one switch; N/A with one node"),
    SystemKey("accelerator_frequency", "N/A without", optional=True),
    SystemKey("accelerator_host_interconnect", "as PCIe Gen5 x16; N/A without"),
    SystemKey("accelerator_interconnect", "between accelerators, as NVLink; N/A with one or none"),
    SystemKey("accelerator_interconnect_topology", "N/A with one or none", optional=True),
    SystemKey("accelerator_memory_configuration", "kind of its memory, as HBM3; N/A without"),
    SystemKey("accelerator_on-chip_memories", "N/A without", optional=True),
    SystemKey("cooling", "as air, passive, liquid"),
    SystemKey("hw_notes", "what else a reader should know of the hardware", optional=True),
    SystemKey("sw_notes", "the same of the software", optional=True),
    SystemKey("host_network_card_count", "network cards of a node, as 1x 25 GbE"),
    SystemKey("system_type_detail", "as rack server, virtual machine, single-board computer", optional=True),
)
BY_NAME = {key.name: key for key in KEYS}
