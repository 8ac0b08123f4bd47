"""Links: how long a packet takes, and what may happen to it on the way."""

from __future__ import annotations

import random

import attrs

from ._bursts import Bursts, check_probability
from ._packets import Fate, Packet
from ._world import World

LEAST_MTU = 68  # RFC 791 3.2: every module passes on as much without cutting it
QUEUE = 65536  # bytes: some 40 full packets, 50 ms of a 10 Mbit/s uplink


def _duration(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0.0 <= value < float("inf"):
        raise ValueError(f"{attribute.name} must be a number of seconds from 0 on, not {value!r}")


def _bandwidth(instance: object, attribute: attrs.Attribute[float | None], value: float | None) -> None:
    if value is not None and not 0.0 < value < float("inf"):
        raise ValueError(f"bandwidth must be a number of bits per second above 0, or None for no limit, not {value!r}")


def _mtu(instance: object, attribute: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None and not value >= LEAST_MTU:
        raise ValueError(f"mtu must be {LEAST_MTU} bytes or more (RFC 791), or None for no limit, not {value!r}")


def _queue(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if not value >= 0:
        raise ValueError(f"queue must be a number of bytes from 0 on, not {value!r}")


@attrs.frozen(kw_only=True)
class Link:
    """How a link treats each packet that crosses it.

    Bytes count from the IP header on, see `Packet.size`.

    Attributes:
        latency: seconds that every packet takes.
        jitter: at most so many seconds more, drawn for each packet. A packet may overtake another.
        loss: probability that a packet vanishes.
        duplication: probability that a packet arrives twice; the copy has its own jitter.
        reordering: probability that a packet is held back for ``hold`` seconds, so that later ones overtake it.
        hold: seconds.
        bursts: when loss comes in bursts; ``loss`` is then that between them.
        bandwidth: bits per second; a packet waits until those before it are out, and takes its own time then. ``None``
            for no limit.
        queue: bytes that may wait for the bandwidth, the packet that is being sent included; one that finds no room is
            lost (`Fate.QUEUE_FULL`). An idle link takes a packet of any size.
        mtu: bytes of the longest packet that fits. A longer one is cut where IPv4 lets it, or its sender is told. ``None``
            for no limit.

    Raises:
        ValueError: a negative or infinite time, a probability outside 0..1, no bandwidth, an MTU below 68 bytes.
    """

    latency: float = attrs.field(default=0.0, validator=_duration)
    jitter: float = attrs.field(default=0.0, validator=_duration)
    loss: float = attrs.field(default=0.0, validator=check_probability)
    duplication: float = attrs.field(default=0.0, validator=check_probability)
    reordering: float = attrs.field(default=0.0, validator=check_probability)
    hold: float = attrs.field(default=0.05, validator=_duration)
    bursts: Bursts | None = None
    bandwidth: float | None = attrs.field(default=None, validator=_bandwidth)
    queue: int = attrs.field(default=QUEUE, validator=_queue)
    mtu: int | None = attrs.field(default=None, validator=_mtu)


class Line:
    """A `Link` in use, in one direction or shared: has a queue, and a random source of its own for what befalls packets.

    Attributes:
        latency: of the link.
        steady: whether it treats all packets alike: they take the latency and nothing else happens.
        bandwidth: of the link.
        mtu: of the link.
    """

    __slots__ = (
        "_bad",
        "_certain",
        "_free",
        "_label",
        "_link",
        "_random",
        "_world",
        "bandwidth",
        "latency",
        "mtu",
        "steady",
    )

    def __init__(self, world: World, label: str, link: Link) -> None:
        self._world = world
        self._label = label
        self._random: random.Random | None = None
        self._bad = False
        self._free = 0.0  # when the last packet of the queue will be out
        self.link = link

    @property
    def link(self) -> Link:
        """What the line does at present. May be replaced while packets are under way; those keep their times."""
        return self._link

    @link.setter
    def link(self, link: Link) -> None:
        self._link = link
        self.latency: float = link.latency
        self.bandwidth: float | None = link.bandwidth
        self.mtu: int | None = link.mtu
        self._certain = not (link.jitter or link.loss or link.duplication or link.reordering or link.bursts)
        self.steady: bool = self._certain and link.bandwidth is None and link.mtu is None
        if link.mtu is not None:
            self._world.limit_sizes()

    def cross(self, packet: Packet) -> list[float] | Fate:
        """Take a packet that is at this line now.

        Returns:
            In how many seconds its copies arrive, or why none does.
        """
        waited = 0.0
        if self.bandwidth is not None:
            left = self._queue(packet.size, self.bandwidth)
            if left is None:
                return Fate.QUEUE_FULL
            waited = left
        if self._certain:
            return [waited + self.latency]
        return self._delays(waited) or Fate.LOST

    def _queue(self, size: int, bandwidth: float) -> float | None:
        now = self._world.clock.now
        waits = max(self._free - now, 0.0)
        if waits and waits * bandwidth / 8 + size > self._link.queue:
            return None
        left = waits + size * 8 / bandwidth
        self._free = now + left
        return left

    def _delays(self, waited: float) -> list[float]:
        if self._random is None:
            self._random = self._world.random(f"link {self._label}")
        link, draw = self._link, self._random.random
        loss = link.loss if link.bursts is None else self._loss_in(link.bursts, draw())
        if loss and draw() < loss:
            return []
        delays: list[float] = []
        copies = 2 if link.duplication and draw() < link.duplication else 1
        for _ in range(copies):
            took = waited + link.latency
            if link.jitter:
                took += link.jitter * draw()
            if link.reordering and draw() < link.reordering:
                took += link.hold
            delays.append(took)
        return delays

    def _loss_in(self, bursts: Bursts, drawn: float) -> float:
        if drawn < (bursts.leave if self._bad else bursts.enter):
            self._bad = not self._bad
        return bursts.loss if self._bad else self._link.loss
