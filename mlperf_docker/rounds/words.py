"""Words of the submission rules: divisions, types of systems, layouts of trees."""

from enum import StrEnum


class Division(StrEnum):
    """Division of a round: closed compares systems on equal models, open allows other ones."""

    CLOSED = "closed"
    OPEN = "open"


class Suite(StrEnum):
    """Suite of benchmarks, as `system_type` of a system description spells it."""

    EDGE = "edge"
    DATACENTER = "datacenter"
    BOTH = "datacenter,edge"


class LayoutName(StrEnum):
    """Layout of an organisation's tree."""

    SEPARATE = "separate"
    """measurements/ and compliance/ beside results/, in rounds to v5.1."""
    SEPARATE_WITH_MLPERF_CONF = "separate-with-mlperf-conf"
    """The same, and a mlperf.conf beside each user.conf, in rounds to v4.1."""
    SCENARIO = "scenario"
    """All of them in results/, in the folder of the scenario, from v6.0."""
