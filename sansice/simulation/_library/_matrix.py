"""The matrix: every kind of NAT against every kind."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Iterator

import attrs

from sansice.machine import Transport
from sansice.simulation._scene._parts import Expectation, HostSpec, NatSpec
from sansice.simulation._scene._scene import Scene
from sansice.simulation._scene._simulate import simulate
from sansice.simulation._world._link import Link

from ._cast import ASK_STUN, STUN, couple
from ._relays import TURN

MATRIX_KINDS = ("open", "full-cone", "restricted-cone", "port-restricted", "symmetric")
MATRIX_TURNS = ("none", "udp", "tcp", "tls")

# Neither a symmetric NAT's next port can be guessed, nor does the other end let in packets from a port that it has not
# sent to; every other couple has one end that a packet reaches first, or that knows the other's port.
_HOPELESS = (("symmetric", "symmetric"), ("symmetric", "port-restricted"), ("port-restricted", "symmetric"))


@attrs.frozen
class MatrixCell:
    """How often a kind of NAT connected with a kind of NAT.

    Attributes:
        a, b: presets of `NatSpec`, or ``"open"`` for no NAT at all; the agent behind ``a`` controls.
        family: ``"ipv4"``.
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
def matrix_scene(a: str, b: str, turn: str = "none") -> Scene:
    """The scene of one cell: one host behind each kind of NAT, a STUN server, and a TURN server or none.

    Args:
        a, b: the kinds, see `MatrixCell`.
        turn: one of `MATRIX_TURNS`.

    Raises:
        ValueError: a kind that is no preset, or a transport that is none of these.
    """
    if turn not in MATRIX_TURNS:
        raise ValueError(f"turn: {turn!r} is none of {', '.join(MATRIX_TURNS)}")
    ends = (("alice", "192.168.1.2", "A", "203.0.113.1", a), ("bob", "192.168.178.20", "B", "198.51.100.1", b))
    translated = [end for end in ends if end[4] != "open"]
    relayed = turn != "none"
    return Scene(
        name=f"{a}-{b}-{turn}" if relayed else f"{a}-{b}",
        about=f"One end is {_words(a)}, the other {_words(b)}." + (f" Relays are reached over {turn}." if relayed else ""),
        internet=Link(latency=0.02, jitter=0.01),
        nats=tuple(NatSpec(nat, outer, kind) for _, _, nat, outer, kind in translated),
        hosts=tuple(
            HostSpec(host, outer) if kind == "open" else HostSpec(host, inner, behind=nat)
            for host, inner, nat, outer, kind in ends
        ),
        servers=(STUN,),
        turn_servers=(TURN,) if relayed else (),
        agents=couple(ice_servers=(ASK_STUN, TURN.uri(Transport(turn)))) if relayed else couple(),
        expect=Expectation(connected=relayed or is_direct(a, b)),
    )


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
    if turn not in MATRIX_TURNS:
        raise ValueError(f"turn: {turn!r} is none of {', '.join(MATRIX_TURNS)}")
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
