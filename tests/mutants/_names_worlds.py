"""Worlds of multicast DNS: names that are there, late, never, with two addresses, or taken back; links that come and go."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from sansice.ice import MdnsAgent, MdnsConfig
from sansice.machine import Event, QueryId
from sansice.simulation import Arena, Link, Network, Node

STEM = "192.168.1."
CONFIG = MdnsConfig(max_cached=4, max_names=4)
NOBODYS, LATE, SHARED = (f"{n}{n}{n}{n}{n}{n}{n}{n}-0000-4000-8000-000000000000.local" for n in (9, 8, 7))
CLOSING = 40.0


@attrs.define
class Asked:
    """That somebody has asked for a name."""

    who: str
    query: QueryId
    name: str
    at: float
    timeout: float
    is_cancelled: bool = False


@attrs.define
class Had:
    """That somebody has had a name."""

    who: str
    name: str
    host: str
    since: float
    until: float = math.inf


class Desk:
    """One machine and its program."""

    def __init__(self, office: Office, name: str, address: str, node: Node) -> None:
        self.office = office
        self.name = name
        self.address = address
        self.node = node
        node.listener = self.hear

    def hear(self, event: Event) -> None:
        """Nothing is done about it."""


class Office:
    """Machines on one link.

    Attributes:
        asked, had: all that was.
    """

    def __init__(self, *names: str) -> None:
        self.net = Network(seed=1)
        segment = self.net.segment("office", link=Link(latency=0.004))
        self.desks: dict[str, Desk] = {}
        self.asked: list[Asked] = []
        self.had: list[Had] = []
        self._away: dict[str, None] = {}
        for number, name in enumerate(names, 2):
            host = self.net.host(name, f"{STEM}{number}", behind=segment)
            node = host.run(MdnsAgent(config=CONFIG, entropy=host.entropy))
            desk = self.desks[name] = Desk(self, name, f"{STEM}{number}", node)
            self._look(desk)
            self.later(CLOSING, self.close, name)

    def _look(self, desk: Desk) -> None:
        is_up = desk.node.host.interfaces[0].is_up
        addresses = [f"{desk.address}/24"] if is_up else []
        if desk.node.running:
            self._call(desk, "update_addresses", addresses)

    def _call(self, desk: Desk, command: str, *arguments: object, **keywords: object) -> object:
        return desk.node.call(getattr(desk.node.machine, command), *arguments, **keywords)

    def later(self, seconds: float, what: Callable[..., object], *arguments: object) -> None:
        """Something that is planned."""
        self.net.at(self.net.now + seconds, lambda: what(*arguments))

    # ------------------------------------------------------------- what is known of all

    def has(self, who: str, name: str) -> bool:
        """Whether somebody has a name now."""
        return any(one.who == who and one.name == name and one.until == math.inf for one in self.had)

    def times_asked(self, who: str, name: str) -> int:
        """How often somebody has asked for a name."""
        return sum(one.who == who and one.name == name for one in self.asked)

    def was_away(self, who: str) -> bool:
        """Whether somebody has not been on the link all the time."""
        return who in self._away

    # ------------------------------------------------------------- what they do

    def publish(self, who: str, name: str = "", session: str = "") -> None:
        """Somebody has a name from now on: a given one, or one of its own making."""
        desk = self.desks[who]
        if desk.node.running:
            if name:
                self._call(desk, "publish", name, desk.address)
            else:
                name = str(self._call(desk, "register", desk.address, session=session))
            self.had.append(Had(who, name, desk.address, self.net.now))

    def withdraw(self, who: str) -> None:
        """All that somebody has is taken back."""
        desk = self.desks[who]
        for one in self.had:
            if one.who == who and one.until == math.inf and desk.node.running:
                one.until = self.net.now
                self._call(desk, "withdraw", one.name)

    def ask(self, who: str, name: str = "", *, of: str = "", timeout: float = 8.0) -> None:
        """Somebody asks for a name, or for the latest one that another has."""
        desk = self.desks[who]
        name = name or next((one.name for one in reversed(self.had) if one.who == of), NOBODYS)
        if desk.node.running:
            query = self._call(desk, "resolve", name, timeout=timeout)
            self.asked.append(Asked(who, QueryId(int(str(query))), name, self.net.now, timeout))

    def cancel(self, who: str) -> None:
        """Somebody wants to know the latest that was asked for no more."""
        desk = self.desks[who]
        told = [getattr(event, "query", None) for _, event in desk.node.events]
        for asked in [one for one in self.asked if one.who == who and one.query not in told][-1:]:
            if desk.node.running:
                self._call(desk, "cancel", asked.query)
                asked.is_cancelled = True

    def flip(self, who: str) -> None:
        """The link of somebody goes, or comes back."""
        desk = self.desks[who]
        interface = desk.node.host.interfaces[0]
        self._away[who] = None
        if interface.is_up:
            interface.down()
        else:
            interface.up()
        self._look(desk)

    def forget(self, who: str) -> None:
        """The link of somebody is another one for a moment: nothing is known of it any more."""
        self._call(self.desks[who], "update_addresses", [])
        self._look(self.desks[who])

    def kill(self, who: str) -> None:
        """A process ends without a word."""
        self._away[who] = None
        self.desks[who].node.stop()

    def close(self, who: str) -> None:
        """Somebody goes."""
        desk = self.desks[who]
        if desk.node.running:
            for one in self.had:
                one.until = min(one.until, self.net.now) if one.who == who else one.until
            self._call(desk, "close")

    def arena(self, *, until: float = 8.0) -> Arena:
        """Links come and go, and so do programs."""
        nodes = {name: desk.node for name, desk in self.desks.items()}
        changes: dict[str, Callable[[], object]] = {}
        for name in self.desks:
            changes[f"the link of {name} flips"] = lambda name=name: self.flip(name)  # type: ignore[misc]
            changes[f"{name} takes back its names"] = lambda name=name: self.withdraw(name)  # type: ignore[misc]
            changes[f"{name} asks for nobody"] = lambda name=name: self.ask(name, NOBODYS)  # type: ignore[misc]
            changes[f"{name} cancels"] = lambda name=name: self.cancel(name)  # type: ignore[misc]
        faults = {f"{name} is killed": lambda name=name: self.kill(name) for name in self.desks}  # type: ignore[misc]
        return Arena(self.net, nodes, faults=faults, changes=changes, until=until, settle=60.0)


def names_told() -> Arena:
    """Each has a name, announced before it is asked for or asked for before it is there; one asks for nobody's."""
    office = Office("A", "B", "C")
    office.publish("A")
    office.later(0.45, office.forget, "C")
    office.later(0.5, lambda: office.ask("B", of="A"))
    office.later(0.5, lambda: office.ask("C", of="A"))
    office.later(1.0, lambda: office.ask("A", LATE))
    office.later(1.2, lambda: office.ask("C", NOBODYS))
    office.later(3.1, lambda: office.publish("B", LATE))
    return office.arena()


def names_taken_back() -> Arena:
    """Names are taken back, and asked for before and after."""
    office = Office("A", "B")
    office.publish("A")
    office.publish("B", session="call")
    office.later(0.01, lambda: office.ask("B", of="A"))
    office.later(2.5, office.withdraw, "A")
    office.later(5.0, lambda: office.ask("B", of="A"))
    office.later(5.5, lambda: office.ask("A", of="B"))
    office.later(6.0, office.publish, "A")
    office.later(6.1, lambda: office.ask("B", of="A"))
    return office.arena()


def names_shared() -> Arena:
    """Two have one name, which conceals no address then; more names are told than anybody remembers."""
    office = Office("A", "B", "C")
    office.publish("A", SHARED)
    office.later(0.3, lambda: office.publish("B", SHARED))
    for number in range(3):
        office.later(1.0 + number, lambda number=number: office.publish("A", session=f"{number}"))  # type: ignore[misc]
        office.later(1.1 + number, lambda number=number: office.publish("B", session=f"{number}"))  # type: ignore[misc]
    office.later(2.0, lambda: office.ask("C", SHARED))
    office.later(4.5, lambda: office.ask("C", of="A"))
    return office.arena(until=6.0)


NAMES_WORLDS: dict[str, Callable[[], Arena]] = {world.__name__: world for world in (names_told, names_taken_back, names_shared)}
