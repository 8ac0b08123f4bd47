"""What Linux says of this machine's addresses and of the interfaces that have them. Elsewhere nothing is known of them."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from sansice.ice import HostAddress, InterfaceKind

from ._links import LinkState

if TYPE_CHECKING:
    from ._interfaces import Interface

# <linux/if_addr.h>
TEMPORARY = 0x01
DAD_FAILED = 0x08  # somebody else has it (RFC 4862 5.4.5)
DEPRECATED = 0x20
TENTATIVE = 0x40  # whether somebody else has it is being asked (RFC 4862 5.4)

MAX_INTERFACES = 64  # to look at: each costs three small files, and a host of containers has thousands
MAX_LOWER = 16  # interfaces below one that are looked at; a bridge of a host of containers has a thousand
MAX_DEPTH = 3  # of interfaces below interfaces: a bridge over a VLAN over a bond is as deep as real ones are
_MAX_ADDRESSES = 1 << 18  # bytes of the list of addresses, 54 of them to each
_MAX_FILE = 4096  # bytes of anything else; sysfs has no longer ones
_LINE = re.compile(r"^([0-9a-f]{32}) \w+ \w+ \w+ ([0-9a-f]{2}) +(\S+)$", re.ASCII | re.MULTILINE)

# <linux/if_arp.h>. PPP is missing: it is what a telephone line, a modem or a tunnel may be.
_ETHERNET = "1"
_OF_TYPE: Mapping[str, InterfaceKind] = MappingProxyType(
    {
        "519": InterfaceKind.CELLULAR,  # RAWIP
        "768": InterfaceKind.VPN,  # IP in IP
        "769": InterfaceKind.VPN,  # IP in IPv6
        "776": InterfaceKind.VPN,  # IPv6 in IP
        "778": InterfaceKind.VPN,  # GRE
        "823": InterfaceKind.VPN,  # GRE over IPv6
        "65534": InterfaceKind.VPN,  # no link layer at all: tun, WireGuard
    }
)
_OF_DEVICE: Mapping[str, InterfaceKind] = MappingProxyType(
    {"wlan": InterfaceKind.WIRELESS, "wwan": InterfaceKind.CELLULAR, "wireguard": InterfaceKind.VPN}
)
# What an interface over several others is: what leads outside, whatever else is plugged in.
_BEST = (
    InterfaceKind.WIRED,
    InterfaceKind.WIRELESS,
    InterfaceKind.CELLULAR,
    InterfaceKind.VPN,
    InterfaceKind.UNKNOWN,
    InterfaceKind.VIRTUAL,
)


class KnownHost(NamedTuple):
    """An address of this machine, the system's flags of it, of which IPv4 has none, and the state of its interface."""

    host: HostAddress
    flags: int
    link: LinkState = LinkState.WORKING


def device_of(name: str) -> str:
    """The interface of an address; eth0:1 is a label of an address of eth0."""
    return name.partition(":")[0]


def known_hosts(listed: Iterable[Interface], links: Mapping[str, LinkState], root: str = "/") -> tuple[KnownHost, ...]:
    """What is known of each address.

    Args:
        listed: the addresses.
        links: the states of interfaces, by `device_of`; one that is missing works.
        root: below which ``proc`` and ``sys`` are.
    """
    flags = _read_flags(os.path.join(root, "proc/thread-self/net/if_inet6"))  # as a thread may have a network of its own
    kinds: dict[str, InterfaceKind] = {}
    found: list[KnownHost] = []
    for name, address in listed:
        device = device_of(name)
        if device not in kinds:
            kinds[device] = (
                _kind_of(device, os.path.join(root, "sys/class/net"), MAX_DEPTH)
                if len(kinds) < MAX_INTERFACES
                else InterfaceKind.UNKNOWN
            )
        flag = flags.get((name, _hex(address)), 0) if ":" in address and flags else 0
        host = HostAddress(address, interface=name, kind=kinds[device], is_temporary=bool(flag & TEMPORARY))
        found.append(KnownHost(host, flag, links.get(device, LinkState.WORKING)))
    return tuple(found)


def usable_hosts(known: Iterable[KnownHost], in_use: Iterable[HostAddress | str] = ()) -> list[HostAddress]:
    """Those to begin something with, in the system's order.

    Left out are addresses by which nothing leaves, those that may turn out to be somebody else's, and deprecated ones where the
    same interface has another of the same scope (RFC 4862 5.5.4).

    Args:
        known: all of them.
        in_use: those that something has begun with stay, as long as they are there and their interface is not down.
    """
    known = [one for one in known if one.link is not LinkState.DOWN]
    used = {one if isinstance(one, str) else one.host for one in in_use}
    preferred = {_scope(one.host) for one in known if _is_good(one) and not one.flags & DEPRECATED}
    return [
        one.host
        for one in known
        if one.host.host in used or (_is_good(one) and not (one.flags & DEPRECATED and _scope(one.host) in preferred))
    ]


def _is_good(one: KnownHost) -> bool:
    """Whether it works, and is known to be ours."""
    return one.link is LinkState.WORKING and not one.flags & (TENTATIVE | DAD_FAILED)


def _scope(host: HostAddress) -> tuple[str, bool, bool]:
    return host.interface, ":" in host.host, "%" in host.host  # which link-local ones alone have


def _hex(address: str) -> str:
    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0]).hex()


def _read_flags(path: str) -> dict[tuple[str, str], int]:
    """By interface and hexadecimal address. A line has the address, the number of the interface, the length of the prefix,
    the scope and the flags, and the interface's name.
    """
    return {(name, address): int(flags, 16) for address, flags, name in _LINE.findall(_read(path, _MAX_ADDRESSES))}


def _kind_of(name: str, folder: str, depth: int) -> InterfaceKind:
    path = os.path.join(folder, name)
    try:
        entries = os.listdir(path)
    except OSError:  # another system, or it has gone
        return InterfaceKind.UNKNOWN
    _, _, device = _read(os.path.join(path, "uevent"), _MAX_FILE).partition("DEVTYPE=")
    type = _read(os.path.join(path, "type"), _MAX_FILE).strip()
    kind = _OF_DEVICE.get(device.partition("\n")[0]) or _OF_TYPE.get(type)
    if kind is not None:
        return kind
    if "wireless" in entries or "phy80211" in entries:
        return InterfaceKind.WIRELESS
    if type != _ETHERNET:
        return InterfaceKind.UNKNOWN
    if "device" in entries:  # something that is plugged in, be it into a virtual machine
        return InterfaceKind.WIRED
    if not depth:
        return InterfaceKind.UNKNOWN
    lower = sorted(entry.removeprefix("lower_") for entry in entries if entry.startswith("lower_"))
    return min((_kind_of(one, folder, depth - 1) for one in lower[:MAX_LOWER]), key=_BEST.index, default=InterfaceKind.VIRTUAL)


def _read(path: str, limit: int) -> str:
    """The text of a file of the system's; none where there is no such file."""
    try:
        with open(path, "rb") as file:
            return file.read(limit).decode("ascii", "replace")
    except OSError:
        return ""
