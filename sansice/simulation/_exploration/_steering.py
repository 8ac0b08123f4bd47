"""Steering: lets a world happen by its clock, except where a schedule says otherwise, and notes where it might have."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs

from sansice.simulation._world._clock import Clock, Happening, SimulationError
from sansice.simulation._world._node import Node
from sansice.simulation._world._packets import Packet
from sansice.stun import MessageClass

from ._arena import Arena
from ._deviations import FOR_GOOD, Deviation, DeviationKind, Schedule
from ._evidence import read
from ._invariant import Harm
from ._strangers import forged, replayed

MAX_STEPS = 100_000  # of one run; more is a world that never settles
FORESIGHT = 3  # how many happenings a packet is held back, at most
RTO = 0.5  # seconds; RFC 8445 14.3
ASLEEP = 40.0  # seconds: longer than consent lasts (RFC 7675 5.1)

_K = DeviationKind


@attrs.frozen
class Step:
    """A choice point: a happening at which a run might have gone another way.

    Attributes:
        index: its number in the run.
        place: whose it is; "" where that is nobody's.
        is_packet, is_timer: what it is; neither is a command or another thing.
        changes: whether it fed an agent anything, or came to somebody who is none, such as a server. A timer that did
            not was a stale one; a packet, one that a NAT kept out.
        hurries: how far behind, in order of time, the first packet is that might be preferred to it; 0 if there is none.
        is_segment: of TCP. Who is off the path does not know the sequence numbers, and cannot forge or replay any.
    """

    index: int
    place: str
    is_packet: bool
    is_timer: bool
    changes: bool
    hurries: int
    is_segment: bool = False


@attrs.define(eq=False)
class _Held:
    function: Callable[[Any], object]
    argument: Any
    place: str
    left: int
    since: float


class Steering:
    """Drives one run.

    Args:
        arena: the world.
        schedule: how to deviate.
        fed: counts the inputs of the agents so far.
        quiet: called whenever no packet is under way.

    Attributes:
        steps: the choice points, in order.
        harm: what was done to the network.
        notes: what the deviations did, with the number of inputs before each.
        digest: of the faults and their moments; the inputs' own digests make it the digest of the run.
    """

    def __init__(self, arena: Arena, schedule: Schedule, fed: Callable[[], int], quiet: Callable[[], None]) -> None:
        self._arena = arena
        self._clock: Clock = arena.network._world.clock
        self._schedule = {deviation.step: deviation for deviation in schedule}
        self._fed = fed
        self._quiet = quiet
        self._held: list[_Held] = []
        self._losing: dict[str, float] = {}
        self._places = {address: name for name, node in arena.agents.items() for address in node.host.addresses}
        self._places.update(arena.places)
        self._nodes = [(node, name) for name, node in arena.agents.items()]
        self.steps: list[Step] = []
        self.harm = Harm()
        self.notes: list[tuple[int, str]] = []
        self.digest = hashlib.blake2b(digest_size=16)

    def run(self, until: float) -> None:
        """Let everything happen that is due at or before ``until``, then what is held back still.

        Raises:
            SimulationError: the world does not come to rest.
        """
        while self._happen(until):
            if len(self.steps) > MAX_STEPS:
                raise SimulationError(f"more than {MAX_STEPS} happenings by {self._clock.now} s: this world does not settle")
        if until > self._clock.now and until != math.inf:
            self._clock.now = until

    # ------------------------------------------------------------- one step

    def _happen(self, until: float) -> bool:
        for held in self._held:
            if held.left <= 0:
                self._held.remove(held)
                if not isinstance(held.argument, Packet):
                    self._harm_by_lateness(self._clock.now - held.since)
                self._perform(held.function, held.argument, held.place)
                return True
        upcoming = self._clock.upcoming()
        if not upcoming or upcoming[0][0] > until:
            if not self._held:
                return False
            self._held[0].left = 0
            return True
        happening = upcoming[0]
        place, is_packet, is_timer = self._what(happening)
        index, before = len(self.steps), self._fed()
        hurries = self._hurries(upcoming, place, is_packet)
        deviation = self._schedule.get(index)
        if deviation is None:
            self._clock.take(happening, happening[0])
            self._let(happening, place, is_packet)
        else:
            self.notes.append((before, str(deviation)))
            self._deviate(deviation, happening, place, upcoming)
        changes = self._fed() > before or deviation is not None or (is_packet and place not in self._arena.agents)
        is_segment = is_packet and happening[3].tcp is not None
        self.steps.append(Step(index, place, is_packet, is_timer, changes, hurries, is_segment))
        if not self._held and not any(isinstance(one[3], Packet) for one in self._clock.upcoming()):
            self._quiet()
        return True

    def _let(self, happening: Happening, place: str, is_packet: bool) -> None:
        """The way it goes by itself, unless its place is losing what comes."""
        losing = self._losing.get(place, 0) if is_packet else 0
        if losing:
            self._losing[place] = losing - 1
            return
        self._perform(happening[2], happening[3], place)

    def _perform(self, function: Callable[[Any], object], argument: Any, place: str) -> None:
        before = self._fed()
        function(argument)
        if self._fed() > before or isinstance(argument, Packet):
            for held in self._held:
                if held.place == place:
                    held.left -= 1

    def _what(self, happening: Happening) -> tuple[str, bool, bool]:
        function, argument = happening[2], happening[3]
        if isinstance(argument, Packet):
            address = argument.destination[0]
            return self._places.get(address, address), True, False
        owner = getattr(function, "__self__", None)
        if isinstance(owner, Node):
            name = next((name for node, name in self._nodes if node is owner), owner.host.name)
            return name, False, isinstance(argument, float)
        return "", False, False

    def _hurries(self, upcoming: Sequence[Happening], place: str, is_packet: bool) -> int:
        """The next packet to the same place. One to another place commutes with what it would overtake."""
        for distance, happening in enumerate(upcoming[1 : 1 + 2 * FORESIGHT], 1):
            if isinstance(happening[3], Packet) and (not place or self._what(happening)[0] == place):
                return distance
        return 0

    # ------------------------------------------------------------- deviations

    def _deviate(self, deviation: Deviation, happening: Happening, place: str, upcoming: Sequence[Happening]) -> None:
        kind, amount = deviation.kind, deviation.amount
        time, _, function, argument = happening
        packet = argument if isinstance(argument, Packet) else None
        if kind is _K.HURRY and 0 < amount < len(upcoming):
            self._hurry(upcoming[int(amount)], time)
            return
        self._clock.take(happening, happening[0])
        if kind is _K.FAULT:
            self._fault(deviation.name)
        elif kind is _K.LATE and packet is None:
            self._harm_by_lateness(amount)
            self._clock.at(self._clock.now + amount, function, argument)
            return
        elif kind is _K.HOLD:
            if packet is not None:
                self.harm = Harm(self.harm.lost + 1, self.harm.broken)
            self._held.append(_Held(function, argument, place, int(amount), time))
            return
        elif packet is not None and kind is _K.LOSE:
            self._lose(place, amount)
        elif packet is not None and kind is _K.COPY:
            self._held.append(_Held(function, packet, place, int(amount) + 1, time))
        elif packet is not None and kind is _K.REPLAY:
            self._harm_by_replay(packet)
            if amount:
                self._held.append(_Held(function, replayed(packet), place, int(amount), time))
            else:
                function(replayed(packet))
        elif packet is not None and kind is _K.FORGE:
            function(forged(packet))
            if amount:
                self._lose(place, 1)
        self._let(happening, place, packet is not None)

    def _hurry(self, other: Happening, time: float) -> None:
        place, is_packet, _ = self._what(other)
        self._clock.take(other, time)
        self._let(other, place, is_packet)

    def _lose(self, place: str, amount: float) -> None:
        for_good = amount == FOR_GOOD
        self.harm = Harm(self.harm.lost + (0 if for_good else int(amount)), self.harm.broken or for_good)
        self._losing[place] = math.inf if for_good else amount

    def _harm_by_lateness(self, seconds: float) -> None:
        # Half a second is the first wait of a check (RFC 8445 14.3): who is later skips transmissions.
        self.harm = Harm(self.harm.lost + 1 + int(seconds / RTO), self.harm.broken or seconds >= ASLEEP)

    def _harm_by_replay(self, packet: Packet) -> None:
        # RFC 8445 7.2.5.2.1: an authentic answer from another address must fail the pair, whoever sent it.
        message = read(packet.data)
        if message is not None and message.message_class is not MessageClass.REQUEST:
            self.harm = Harm(self.harm.lost, broken=True)

    def _fault(self, name: str) -> None:
        self.digest.update(f"{name} after {self._fed()}".encode())
        events = self._arena.events
        if name not in events:
            raise ValueError(f"there is no fault {name!r} here; there are: {', '.join(events)}")
        self.harm = Harm(self.harm.lost, self.harm.broken or name in self._arena.faults)
        events[name]()


def alternatives(steps: Sequence[Step], after: int, faults: Sequence[str]) -> Iterator[Deviation]:
    """What may be done at the steps behind number ``after`` of a run that went as ``steps`` say.

    Orders are a matter of one place each: to hold a packet until the next happening at another place would change
    nothing, for deliveries to different places commute (this is the partial-order reduction).
    """
    later: dict[str, int] = {}
    possible: list[list[Deviation]] = []
    for step in reversed(steps[after + 1 :]):
        possible.append(list(_at(step, min(FORESIGHT, later.get(step.place, 0)), faults)))
        if step.changes:
            later[step.place] = later.get(step.place, 0) + 1
    for deviations in reversed(possible):
        yield from deviations


def _at(step: Step, later: int, faults: Sequence[str]) -> Iterator[Deviation]:
    index = step.index
    if step.is_packet and step.changes:
        for lost in (1, 3, FOR_GOOD):
            yield Deviation(index, _K.LOSE, lost)
    if step.is_packet and step.changes and not step.is_segment:
        for slower in (0, 1):
            yield Deviation(index, _K.REPLAY, slower)
        for instead in (0, 1):
            yield Deviation(index, _K.FORGE, instead)
    if step.is_packet:
        for amount in (0, later) if later else (0,):
            yield Deviation(index, _K.COPY, amount)
    if step.is_timer and step.changes:
        for seconds in (0.1, 1.0, ASLEEP):
            yield Deviation(index, _K.LATE, seconds)
    if step.is_packet or (step.is_timer and step.changes):
        for amount in range(1, later + 1):
            yield Deviation(index, _K.HOLD, amount)
    if step.hurries:
        yield Deviation(index, _K.HURRY, step.hurries)
    if step.changes or step.is_packet:
        for name in faults:
            yield Deviation(index, _K.FAULT, name=name)
