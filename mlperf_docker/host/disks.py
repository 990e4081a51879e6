"""Reader of the disks, without their serial numbers."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from mlperf_docker.host.facts import Disk, DiskKind
from mlperf_docker.host.tree import Tree

_BLOCK = "/sys/block"
_SECTOR_BYTES = 512  # of `size`, whatever the disk's own are
_DISKS = {
    "nvme": DiskKind.NVME,
    "mmcblk": DiskKind.MMC,
    "vd": DiskKind.VIRTUAL,
    "xvd": DiskKind.VIRTUAL,
    "sd": None,
    "hd": None,
    "dasd": None,
}
"""Beginning of a disk's name → its kind; None where others tell. All others are no disks: loop, dm, md, sr."""
_VIRTUAL_MODELS = ("virtual", "qemu", "vbox", "persistentdisk", "msft")


def read(files: Tree) -> tuple[Disk, ...] | None:
    """Return the disks of this host that hold something and are not removable."""
    if not files.has(_BLOCK):
        return None
    return tuple(replace(disk, count=count) for disk, count in Counter(_each(files)).items())


def _each(files: Tree) -> Iterator[Disk]:
    for name in files.names(_BLOCK):
        folder = f"{_BLOCK}/{name}"
        prefix = next((each for each in _DISKS if name.startswith(each)), None)
        if prefix is None or files.number(f"{folder}/removable") or files.number(f"{folder}/hidden"):
            continue
        size = files.number(f"{folder}/size")
        if size:
            model = files.text(f"{folder}/device/model")
            yield Disk(_DISKS[prefix] or _kind(files, folder, model), model, size * _SECTOR_BYTES, 1)


def _kind(files: Tree, folder: str, model: str | None) -> DiskKind:
    """Return the kind of a disk behind SCSI: virtual ones say that they rotate, or not, as their host pleases."""
    maker = f"{files.text(f'{folder}/device/vendor') or ''} {model or ''}".lower()
    if any(word in maker for word in _VIRTUAL_MODELS):
        return DiskKind.VIRTUAL
    return DiskKind.HDD if files.number(f"{folder}/queue/rotational") else DiskKind.SSD
