"""Reader of the network cards, without their names and addresses."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mlperf_docker.host.facts import NetworkCard
from mlperf_docker.host.tree import Tree

_CLASS = "/sys/class/net"
_KINDS = {1: "ethernet", 32: "infiniband"}  # include/uapi/linux/if_arp.h


@dataclass(frozen=True)
class _Port:
    """Port of a card. slot: the same for all ports of a card."""

    slot: str
    kind: str
    driver: str | None
    speed_mbit: int | None


def read(files: Tree) -> tuple[NetworkCard, ...] | None:
    """Return the cards: what has a device, and is no virtual function of another."""
    if not files.has(_CLASS):
        return None
    cards: dict[str, NetworkCard] = {}
    for port in _ports(files):
        card = cards.get(port.slot) or NetworkCard(port.kind, port.driver, None, 0, 1)
        speed = max(filter(None, (card.speed_mbit, port.speed_mbit)), default=None)
        cards[port.slot] = replace(card, speed_mbit=speed, ports=card.ports + 1)
    return tuple(replace(card, count=count) for card, count in Counter(cards.values()).items())


def _ports(files: Tree) -> Iterator[_Port]:
    for name in files.names(_CLASS):
        folder = f"{_CLASS}/{name}"
        if not files.has(f"{folder}/device") or files.has(f"{folder}/device/physfn"):
            continue
        number = files.number(f"{folder}/type")
        wireless = files.has(f"{folder}/wireless") or files.has(f"{folder}/phy80211")
        kind = "wifi" if wireless else _KINDS.get(number or 0, "other")
        speed = files.number(f"{folder}/speed")
        slot = (files.link(f"{folder}/device") or name).partition(".")[0]
        yield _Port(slot, kind, files.link(f"{folder}/device/driver"), speed if speed and speed > 0 else None)
