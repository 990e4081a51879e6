"""Placement of embedding tables in memory, decided by their sizes before anything is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.harness.api.errors import DeviceMemoryError
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.models.dlrm import network as networks
from mlperf_docker.harness.models.dlrm.dataset import TABLES
from mlperf_docker.harness.models.dlrm.lookup import Lookup
from mlperf_docker.harness.models.dlrm.preprocess import Form, Pairs

DEVICE_RESERVE = 2 << 30
"""Bytes of a GPU that are left for its framework, the layers and the largest batch."""
HOST_RESERVE = 1 << 30
"""Bytes of the host that are left for the harness and a framework."""


@dataclass(frozen=True, slots=True)
class Table:
    """Size of a table: rows, and bytes of each."""

    rows: int
    row_bytes: int

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.rows * self.row_bytes


@dataclass(frozen=True, slots=True)
class Placement:
    """Tables, and how many rows of each, from the first on, a GPU gets; the host keeps the others."""

    tables: tuple[Table, ...]
    resident: tuple[int, ...]
    device: Device

    @property
    def device_bytes(self) -> int:
        """What the GPU gets."""
        return sum(rows * table.row_bytes for rows, table in zip(self.resident, self.tables, strict=True))

    @property
    def host_bytes(self) -> int:
        """What the host keeps."""
        return sum(table.bytes for table in self.tables) - self.device_bytes

    @property
    def lines(self) -> Sequence[str]:
        """The plan for people."""
        total = sum(table.bytes for table in self.tables)
        rows = sum(table.rows for table in self.tables)
        said = [f"tables: {rows} rows, {gigabytes(total)}"]
        if not self.device.profile.is_accelerator:
            return [*said, f"all {len(self.tables)} in the host's memory, mapped from the file: {gigabytes(total)}"]
        whole = [t for t, r in zip(self.tables, self.resident, strict=True) if r == t.rows]
        said.append(f"on the GPU: {len(whole)} whole tables, {gigabytes(sum(table.bytes for table in whole))}")
        for number, (table, held) in enumerate(zip(self.tables, self.resident, strict=True)):
            if held < table.rows:
                hot, cold = gigabytes(held * table.row_bytes), gigabytes((table.rows - held) * table.row_bytes)
                share = held / table.rows
                said.append(
                    f"table {number}: first {held} of {table.rows} rows ({share:.0%}) on the GPU, {hot};"
                    f" the others with the host, {cold}"
                )
        return [*said, f"in all: {gigabytes(self.device_bytes)} on the GPU, {gigabytes(self.host_bytes)} with the host"]

    def place(self, model: Model[Form, Pairs]) -> Model[Form, Pairs]:
        """The model with its tables placed so."""
        source = model.source
        if not isinstance(source, Network) or not isinstance(source.front, Lookup) or not any(self.resident):
            return model
        arrays: dict[str, NDArray[Any]] = dict(source.arrays)
        arrays |= {networks.table_name(number): table for number, table in enumerate(source.front.tables)}
        config = networks.config_of(arrays, source.name)
        made = networks.split_network(arrays, config, self.resident, source.front.population)
        return replace(model, source=made, interface=made.interface.fetching(networks.PREDICTION.name))


def gigabytes(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.2f} GB"


def sizes(arrays: Mapping[str, NDArray[Any]]) -> tuple[Table, ...]:
    """Sizes of the tables among *arrays*, in their order; those that are missing are left out."""
    named = [arrays.get(networks.table_name(number)) for number in range(TABLES)]
    tables = [table for table in named if table is not None and table.ndim]
    return tuple(Table(len(table), table[:1].nbytes) for table in tables)


def plan(tables: tuple[Table, ...], device: Device, *, host_free: int, device_free: int = 0) -> Placement:
    """Where the tables go. Raises DeviceMemoryError where they do not fit, saying how much is wanting.

    A GPU gets the small tables whole, and of those that do not fit the first rows, each the same share: ids were
    numbered as they came up, so the first rows are the hot ones.
    """
    resident = [0] * len(tables)
    if device.profile.is_accelerator:
        left = max(0, device_free - DEVICE_RESERVE)
        waiting = sorted(range(len(tables)), key=lambda number: tables[number].bytes)
        while waiting and tables[waiting[0]].bytes <= left:
            number = waiting.pop(0)
            resident[number] = tables[number].rows
            left -= tables[number].bytes
        share = left / max(1, sum(tables[number].bytes for number in waiting))
        for number in waiting:
            resident[number] = int(tables[number].rows * share)
    placed = Placement(tables, tuple(resident), device)
    room = max(0, host_free - HOST_RESERVE)
    if placed.host_bytes > room:
        raise DeviceMemoryError(
            f"the tables do not fit: {gigabytes(placed.host_bytes)} of them need the host's memory, "
            f"which has {gigabytes(room)} free",
            hint="Halve them: mlperf-docker models convert … --tables fp16; or try the first rows: --max-ind-range N.",
            details=placed.lines,
        )
    return placed
