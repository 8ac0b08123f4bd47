"""Discovery names what real NATs do: those of the Linux kernel, one in a network namespace for each combination."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from interop._netns import Namespaces, required_namespaces

K = TypeVar("K", bound=Hashable)

PROGRAM = str(Path(__file__).with_name("_kernel_nat.py"))
SERVERS = ("192.0.2.10", "192.0.2.20")
PORTS = (3478, 3479)
WORDS = ("endpoint-independent", "address-dependent", "address-and-port-dependent")
SECONDS = 60  # a discovery that takes longer hangs; it takes 5 to 10

# The inside chooses its ports from these, so that a rule can name the outer port of each.
FIRST, COUNT = 40000, 64
INSIDE = "10.0.0.2"


NINE = list(itertools.product(WORDS, WORDS))


def test_all_nine_kinds_of_kernel_nat_are_named_correctly():
    nats = {combination: rules_of(*combination) for combination in NINE}
    found = discover(nats, "filtering", "mapping", "fragments")
    named = {combination: (result["mapping"], result["filtering"]) for combination, result in found.items()}
    assert named == {combination: combination for combination in NINE}
    for result in found.values():
        assert result["fragments"] == {"outgoing": True, "incoming": True}  # by real ones: the cables carry 1,500 bytes
        assert result["alg"] is False
        assert result["unavailable"] == {}


def test_kernel_nats_that_drop_fragments_in_one_direction_are_told_apart():
    common = rules_of(WORDS[0], WORDS[2])
    nats = {cable: lambda outer, cable=cable: common(outer) + dropping_fragments(cable) for cable in ("inner", "outer")}
    found = discover(nats, "fragments")
    assert {cable: result["fragments"] for cable, result in found.items()} == {
        "inner": {"outgoing": False, "incoming": None},
        "outer": {"outgoing": True, "incoming": False},
    }


def discover(nats: Mapping[K, Callable[[str], str]], *tests: str) -> dict[K, dict[str, Any]]:
    """What is found out behind NATs with such rules, all of them at the same time; rules are made for an outer address."""
    with required_namespaces() as spaces:
        build_public(spaces)
        for number, make_rules in enumerate(nats.values()):
            build_nat(spaces, number, make_rules)
        server = spaces.start("public", [sys.executable, PROGRAM, "serve", *SERVERS, *map(str, PORTS)])
        assert server.stdout.readline() == "ready\n", server.communicate(timeout=SECONDS)
        command = [sys.executable, PROGRAM, "discover", f"{SERVERS[0]}:{PORTS[0]}", *tests]
        clients = [spaces.start(f"inside{number}", command) for number in range(len(nats))]
        return {name: result(client) for name, client in zip(nats, clients, strict=True)}


def result(client: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = client.communicate(timeout=SECONDS)
    assert client.returncode == 0, errors
    return json.loads(output)


def build_public(spaces: Namespaces) -> None:
    """The namespace of the server, which has both its addresses."""
    spaces.add("public")
    spaces.ip("public", [f"address add {host}/32 dev lo" for host in SERVERS])


def build_nat(spaces: Namespaces, number: int, make_rules: Callable[[str], str]) -> None:
    """A NAT with an address of its own, and a host behind it."""
    nat, inside = f"nat{number}", f"inside{number}"
    gateway, outer = f"203.0.113.{4 * number + 1}", f"203.0.113.{4 * number + 2}"
    for name in (nat, inside):
        spaces.add(name)
    spaces.join(nat, "outer", "public", f"nat{number}")
    spaces.join(inside, "lan", nat, "inner")
    spaces.ip("public", [f"address add {gateway}/30 dev nat{number}"])
    spaces.ip(nat, [f"address add {outer}/30 dev outer", "address add 10.0.0.1/24 dev inner", f"route add default via {gateway}"])
    spaces.ip(inside, [f"address add {INSIDE}/24 dev lan", "route add default via 10.0.0.1"])
    spaces.sysctl(nat, "net.ipv4.ip_forward", "1")
    spaces.sysctl(inside, "net.ipv4.ip_local_port_range", f"{FIRST} {FIRST + COUNT - 1}")
    spaces.nft(nat, make_rules(outer))


def rules_of(mapping: str, filtering: str) -> Callable[[str], str]:
    """Makes the rules of such a NAT for its outer address."""
    return lambda outer: rules(outer, mapping, filtering)


def dropping_fragments(cable: str) -> str:
    """Rules that drop what arrives in fragments by a cable, before the kernel puts them together (priority -400)."""
    return f"""
        table ip fragments {{
            chain arriving {{ type filter hook prerouting priority -450; iifname {cable} ip frag-off & 0x3fff != 0 drop; }}
        }}
    """


def rules(outer: str, mapping: str, filtering: str) -> str:
    """The rules of a NAT. Connection tracking, which lets in only answers, is address-and-port-dependent filtering already."""
    bases = outer_ports(mapping)
    leaving = [f"oifname outer {match} {translation(outer, mapping, filtering, base)}" for match, base in bases.items()]
    arriving = []
    if filtering != WORDS[2]:
        # Whoever may come in is let in by a translation that the kernel would else know only of answers.
        known = "ip saddr @seen " if filtering == WORDS[1] else ""
        arriving = [f"iifname outer {known}{inwards(base)}" for base in dict.fromkeys(bases.values())]
    return f"""
        table ip behavior {{
            set seen {{ type ipv4_addr; flags dynamic; size 256; }}
            chain remember {{ type filter hook forward priority 0; oifname outer add @seen {{ ip daddr }}; }}
            chain arriving {{ type nat hook prerouting priority -100; {"; ".join(arriving)}; }}
            chain leaving {{ type nat hook postrouting priority 100; {"; ".join(leaving)}; }}
            chain closed {{ type filter hook input priority 0; iifname outer ct state new drop; }}
        }}
    """


def outer_ports(mapping: str) -> dict[str, int]:
    """What an outgoing packet must match, and the outer port that the first inner one then gets."""
    if mapping == WORDS[0]:
        return {"meta l4proto udp": FIRST}
    if mapping == WORDS[1]:
        return {f"ip daddr {host} meta l4proto udp": 20000 + 100 * number for number, host in enumerate(SERVERS)}
    corners = itertools.product(SERVERS, PORTS)
    return {f"ip daddr {host} udp dport {port}": 20000 + 100 * number for number, (host, port) in enumerate(corners)}


def translation(outer: str, mapping: str, filtering: str, base: int) -> str:
    """How the kernel is told to translate what leaves: in its usual ways, where these are what is wanted."""
    if mapping == WORDS[0]:
        return "masquerade"  # keeps the port
    if mapping == filtering == WORDS[2]:
        return "masquerade fully-random"  # another port for each destination
    ports = ", ".join(f"{FIRST + step} : {base + step}" for step in range(COUNT))
    return f"snat to {outer} : udp sport map {{ {ports} }}"


def inwards(base: int) -> str:
    """The way back of `translation`, for those who were not asked."""
    if base == FIRST:
        return f"udp dport {FIRST}-{FIRST + COUNT - 1} dnat to {INSIDE}"
    ports = ", ".join(f"{base + step} : {FIRST + step}" for step in range(COUNT))
    return f"udp dport {base}-{base + COUNT - 1} dnat to {INSIDE} : udp dport map {{ {ports} }}"
