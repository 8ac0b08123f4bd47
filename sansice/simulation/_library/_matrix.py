"""The matrix: every kind of NAT against every kind."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Iterator

import attrs

from sansice.machine import Address, Transport
from sansice.simulation._scene._parts import Expectation, HostSpec, NatSpec, StunServerSpec
from sansice.simulation._scene._scene import Scene
from sansice.simulation._scene._simulate import simulate
from sansice.simulation._world._link import Link

from ._cast import STUN, couple
from ._relays import TURN

MATRIX_KINDS = ("open", "full-cone", "restricted-cone", "port-restricted", "symmetric")
MATRIX_TURNS = ("none", "udp", "tcp", "tls")
MATRIX_FAMILIES = ("ipv4", "ipv6", "dual")

# Neither a symmetric NAT's next port can be guessed, nor does the other end let in packets from a port that it has not
# sent to; every other couple has one end that a packet reaches first, or that knows the other's port.
_HOPELESS = (("symmetric", "symmetric"), ("symmetric", "port-restricted"), ("port-restricted", "symmetric"))


@attrs.frozen
class MatrixCell:
    """How often a kind of NAT connected with a kind of NAT.

    Attributes:
        a, b: presets of `NatSpec`, or ``"open"`` for no NAT at all; the agent behind ``a`` controls.
        family: of the addresses, one of `MATRIX_FAMILIES`.
        turn: over which transport both agents reached a TURN server; ``"none"``: there was none.
        connected: whether all runs connected.
        pair_types: that were selected, as ``local-remote`` seen from ``a``, sorted.
        median_setup_ms: of the runs that connected, virtual milliseconds; ``None`` if none did.
        runs: how many there were.
    """

    a: str
    b: str
    family: str
    turn: str
    connected: bool
    pair_types: tuple[str, ...]
    median_setup_ms: float | None
    runs: int


@functools.cache
def matrix_scene(a: str, b: str, turn: str = "none", family: str = "ipv4") -> Scene:
    """The scene of one cell: one host behind each kind of NAT, a STUN server, and a TURN server or none.

    Args:
        a, b: the kinds, see `MatrixCell`.
        turn: one of `MATRIX_TURNS`.
        family: one of `MATRIX_FAMILIES`; IPv6 is translated like IPv4, and with ``"dual"`` everybody has both.

    Raises:
        ValueError: a kind that is no preset, or a transport or a family that is none of these.
    """
    _require("turn", turn, MATRIX_TURNS)
    _require("family", family, MATRIX_FAMILIES)
    ends = (("alice", "A", a), ("bob", "B", b))
    relayed = turn != "none"
    servers = tuple(_uris(turn, family))
    words = [f"-{word}" for word, usual in ((turn, "none"), (family, "ipv4")) if word != usual]
    about = [f"One end is {_words(a)}, the other {_words(b)}."]
    about += [f"Relays are reached over {turn}."] if relayed else []
    about += [_FAMILIES_IN_WORDS[family]] if family != "ipv4" else []
    return Scene(
        name=f"{a}-{b}{''.join(words)}",
        about=" ".join(about),
        internet=Link(latency=0.02, jitter=0.01),
        nats=tuple(NatSpec(nat, _of(family, _OUTER[nat]), kind) for _, nat, kind in ends if kind != "open"),
        hosts=tuple(
            HostSpec(host, _of(family, _OUTER[nat])) if kind == "open" else HostSpec(host, _of(family, _INNER[nat]), behind=nat)
            for host, nat, kind in ends
        ),
        servers=(StunServerSpec(STUN.name, _of(family, _STUN)),),
        turn_servers=(attrs.evolve(TURN, addresses=_of(family, _TURN)),) if relayed else (),
        agents=couple(ice_servers=servers),
        expect=Expectation(connected=relayed or is_direct(a, b)),
    )


# Addresses of IPv4 and of IPv6.
_OUTER = {"A": ("203.0.113.1", "2001:db8:a::1"), "B": ("198.51.100.1", "2001:db8:b::1")}
_INNER = {"A": ("192.168.1.2", "fd00:a::2"), "B": ("192.168.178.20", "fd00:b::2")}
_STUN = (*STUN.addresses, "2001:db8::9")
_TURN = (*TURN.addresses, "2001:db8::10")
_FAMILIES_IN_WORDS = {"ipv6": "All have IPv6 only.", "dual": "All have both families."}


def _require(name: str, word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        raise ValueError(f"{name}: {word!r} is none of {', '.join(words)}")


def _of(family: str, addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Of an address of each family, those that a family has."""
    v4, v6 = addresses
    return {"ipv4": (v4,), "ipv6": (v6,), "dual": (v4, v6)}[family]


def _uris(turn: str, family: str) -> Iterator[str]:
    """What the agents ask, in each family that they have."""
    turn_server = attrs.evolve(TURN, addresses=_TURN)
    for host in _of(family, _STUN):
        yield f"stun:{Address(host, STUN.port)}"
        if turn != "none":
            yield turn_server.uri(Transport(turn), ipv6=":" in host)


def is_direct(a: str, b: str) -> bool:
    """Whether two kinds let agents connect without a relay."""
    return (a, b) not in _HOPELESS


def _words(kind: str) -> str:
    return "on the Internet" if kind == "open" else f"behind a {kind} NAT"


def matrix(*, runs: int = 1, first_seed: int = 0, turn: str = "none") -> Iterator[MatrixCell]:
    """Run all 25 ordered couples of `MATRIX_KINDS`, each with ``runs`` seeds; a cell is there as soon as it has run.

    Args:
        runs: seeds of each cell, at least 1.
        first_seed: the first of them.
        turn: one of `MATRIX_TURNS`.

    Raises:
        ValueError: no run at all, or a transport that is none of these.
    """
    if runs < 1:
        raise ValueError(f"runs: {runs!r} is below 1")
    _require("turn", turn, MATRIX_TURNS)
    return (_cell(a, b, turn, range(first_seed, first_seed + runs)) for a in MATRIX_KINDS for b in MATRIX_KINDS)


def _cell(a: str, b: str, turn: str, seeds: range) -> MatrixCell:
    times: list[float] = []
    pair_types: set[str] = set()
    for seed in seeds:  # one at a time, because a run holds on to its world
        run = simulate(matrix_scene(a, b, turn), seed=seed)
        pair_types.update(run.pair_types)
        if run.setup_ms is not None:
            times.append(run.setup_ms)
    return MatrixCell(
        a=a,
        b=b,
        family="ipv4",
        turn=turn,
        connected=len(times) == len(seeds),
        pair_types=tuple(sorted(pair_types)),
        median_setup_ms=statistics.median(times) if times else None,
        runs=len(seeds),
    )
