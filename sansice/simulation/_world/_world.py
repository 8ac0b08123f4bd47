"""What everything in one simulated world shares: time, the seed, and the eyes of the test."""

from __future__ import annotations

import hashlib
import random
from collections import Counter, deque
from collections.abc import Callable

from ._clock import Clock
from ._names import NameService
from ._packets import Fate, Packet, Passage


class World:
    """The ground that hosts, links and NATs stand on. `Network` is its public face.

    Attributes:
        clock: the one event heap.
        drop: the test's own fault: a pure function from packet to whether it vanishes.
        packets: the trace, or ``None`` where none is kept.
        watched: whether anybody wants to know what happens to packets; where nobody does, nothing is built to tell it.
        lost: how many packets met which end other than a socket.
        sizes_limited: whether any link has, or had, an MTU; before, nobody counts bytes.
        names: the name service.
        unix: what the wall clock read at the start, minus the virtual time of the start.
        icmp: whether hosts answer a datagram to a closed port.
    """

    __slots__ = (
        "_datagrams_cut",
        "_observers",
        "clock",
        "drop",
        "icmp",
        "lost",
        "names",
        "packets",
        "seed",
        "sizes_limited",
        "unix",
        "watched",
    )

    def __init__(self, *, seed: int | str, start: float, unix: float, icmp: bool, trace: int) -> None:
        self.clock: Clock = Clock(start)
        self.seed: int | str = seed
        self.drop: Callable[[Packet], bool] | None = None
        self.packets: deque[Passage] | None = deque(maxlen=trace) if trace else None
        self.watched: bool = self.packets is not None
        self._observers: list[Callable[[Passage], object]] = []
        self.lost: Counter[Fate] = Counter()
        self.sizes_limited: bool = False
        self._datagrams_cut = 0
        self.names: NameService = NameService()
        self.unix: float = unix - start
        self.icmp: bool = icmp

    def watch(self, observer: Callable[[Passage], object]) -> None:
        """Have ``observer`` called with every line of the trace, as it happens."""
        self._observers.append(observer)
        self.watched = True

    def note(self, place: str, fate: Fate, packet: Packet, interface: str = "") -> None:
        """Add a line to the trace."""
        if not self.watched:
            return
        passage = Passage(self.clock.now, place, fate, packet, interface)
        if self.packets is not None:
            self.packets.append(passage)
        for observer in self._observers:
            observer(passage)

    def lose(self, place: str, fate: Fate, packet: Packet, interface: str = "") -> None:
        """Count, and trace, a packet that goes no further."""
        self.lost[fate] += 1
        self.note(place, fate, packet, interface)

    def limit_sizes(self) -> None:
        """Have the size of every packet looked at from now on."""
        self.sizes_limited = True

    def next_ident(self) -> int:
        """What names the next datagram that is cut, RFC 791 3.1."""
        self._datagrams_cut += 1
        return self._datagrams_cut % 0x10000

    def random(self, label: str) -> random.Random:
        """A random source of this world's seed, the same for the same ``label``.

        Each part of the world has its own, so that a part added or removed does not change what
        happens to the others.
        """
        return random.Random(f"{self.seed}/{label}")

    def draw(self, label: str, count: int, choices: int) -> int:
        """The ``count``-th random number below ``choices`` for ``label``: `random` without its 2.5 kB of state."""
        digest = hashlib.blake2b(f"{self.seed}/{label}/{count}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % choices
