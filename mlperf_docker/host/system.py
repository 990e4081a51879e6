"""Reader of what the machine is: vendor and product, kernel and distribution, virtual or not."""

import shlex

from mlperf_docker.host import cpuinfo
from mlperf_docker.host.facts import HostSystem
from mlperf_docker.host.tree import Tree

_DMI = "/sys/class/dmi/id"
_PLACEHOLDERS = {
    "to be filled by o.e.m.",
    "system manufacturer",
    "system product name",
    "default string",
    "none",
    "not specified",
}
_HYPERVISORS = {
    "kvm": "kvm",
    "qemu": "kvm",
    "openstack": "kvm",
    "google compute engine": "kvm",
    "alibaba cloud ecs": "kvm",
    "vmware": "vmware",
    "virtualbox": "virtualbox",
    "innotek": "virtualbox",
    "xen": "xen",
    "parallels": "parallels",
    "bhyve": "bhyve",
    "firecracker": "firecracker",
    "apple virtualization": "apple",
    "microsoft corporation virtual machine": "hyper-v",
    "amazon ec2": "kvm",
}
"""Words of vendor and product → hypervisor; the first that fits counts."""
_BARE = ".metal"
"""The end, or a part, of the products of Amazon's that are whole machines."""


def read(files: Tree) -> HostSystem:
    """Return what the tree tells of the machine and its system."""
    vendor, product = (_named(files.text(f"{_DMI}/{name}")) for name in ("sys_vendor", "product_name"))
    product = product or files.text("/proc/device-tree/model")
    kernel = files.text("/proc/sys/kernel/osrelease")
    hypervisor = _hypervisor(files, vendor, product, kernel)
    return HostSystem(
        vendor=vendor,
        product=product,
        virtual=_is_virtual(files, vendor, product, hypervisor),
        hypervisor=hypervisor,
        kernel=kernel,
        distribution=_distribution(files),
    )


def _named(text: str | None) -> str | None:
    return None if text is None or text.lower() in _PLACEHOLDERS else text


def _distribution(files: Tree) -> str | None:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        for line in (files.text(path) or "").splitlines():
            name, _, value = line.partition("=")
            if name == "PRETTY_NAME":
                return _unquoted(value)
    return None


def _unquoted(value: str) -> str | None:
    try:
        return " ".join(shlex.split(value)) or None
    except ValueError:
        return value.strip() or None


def _hypervisor(files: Tree, vendor: str | None, product: str | None, kernel: str | None) -> str | None:
    """Return the name of the hypervisor below this host."""
    if kernel and "microsoft" in kernel.lower():
        return "wsl"
    if found := files.text("/sys/hypervisor/type"):
        return found
    if found := files.text("/proc/device-tree/hypervisor/compatible"):
        return found.partition(",")[2] or found
    machine = f"{vendor or ''} {product or ''}".strip().lower()
    if _BARE in machine:
        return None
    return next((name for words, name in _HYPERVISORS.items() if words in machine), None)


def _is_virtual(files: Tree, vendor: str | None, product: str | None, hypervisor: str | None) -> bool | None:
    """Tell whether the host is a virtual machine.

    x86's processors say so themselves, those of virtual machines alone. Others are known by their firmware.
    """
    if hypervisor is not None:
        return True
    flags = next((each["flags"] for each in cpuinfo.blocks(files, 1 << 14) if "flags" in each), None)
    if flags is not None:
        return "hypervisor" in flags.split()
    return False if vendor or product else None
