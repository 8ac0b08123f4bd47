"""Worlds of agents whose machines get and lose addresses: before, during and after checks, at both ends, again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sansice.ice import DataReceived, GatheringOptions, IceAgent, IceState, Nomination, NotConnected
from sansice.simulation import Arena, Network, Node
from sansice.simulation._scene._program import Program
from sansice.simulation._world._host import Host

from ._moving_rules import LAST, PATIENCE, ROAMING
from ._worlds import STUN_SERVER, V4_A, V4_B

SAYING = (0.5, 1.5, 2.5, 4.0, 8.0, 20.0, 40.0)  # seconds from the start
LAST_SAYING = 100.0
FLAPS, FLAP = 60, 0.01  # so often, and seconds between: a hundred times a second


class Roamer(Program):
    """A program that tells its agent of every address that comes or goes, and restarts it where that asks for it.

    Else it is restarted only where it has failed and nothing has come of that for a while.
    """

    __slots__ = ("_waits", "heard_last", "renominates")

    def __init__(
        self,
        name: str,
        agent: IceAgent,
        host: Host,
        network: Network,
        *,
        trickles: bool,
        renominates: bool,
        waits: float = 0.0,
    ) -> None:
        super().__init__(name, agent, host, network, 0.03, 8, trickles=trickles, roams=True)
        self._waits = waits
        self.renominates = renominates
        self.heard_last = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """What the agent was told last."""
        return self._addresses

    def _begin_anew(self) -> None:
        if self._waits:
            self._network.at(self._network.now + self._waits, super()._begin_anew)
        else:
            super()._begin_anew()

    def _help(self) -> None:
        if self.agent.state is IceState.FAILED:
            self._network.at(self._network.now + PATIENCE, self._help_at_last)

    def _help_at_last(self) -> None:
        if self.agent.state is IceState.FAILED and self._addresses:
            self.restart()

    def say(self, data: bytes) -> None:
        """If anybody is there."""
        try:
            if self.node.running:
                self.node.call(self.agent.send, data)
        except NotConnected:
            pass

    def compare(self) -> None:
        """Nothing is probed here."""

    def _take(self, event: DataReceived) -> None:
        self.heard_last = self.heard_last or event.data == LAST


class Journey:
    """Two programs whose machines may be anywhere.

    Args:
        a, b: the addresses of both; those after the first may be of other networks.
        trickles: whether candidates are told one by one, and for as long as there is a use for them.
        renominates: whether the pair in use may be changed without a restart.
        tcp: whether it is all over TCP.
        at_home: whether A's addresses are behind NATs, each behind one of its own.
        conceals: whether all are on one link, and tell names in place of addresses.
        waits: seconds that programs wait before a restart that an agent asks for: another pair may be found meanwhile.
    """

    def __init__(
        self,
        a: Sequence[str] = V4_A,
        b: Sequence[str] = V4_B[:1],
        *,
        trickles: bool = False,
        renominates: bool = False,
        tcp: bool = False,
        at_home: bool = False,
        conceals: bool = False,
        waits: float = 0.0,
    ) -> None:
        self.net = Network(seed=1, latency=0.02)
        self.programs: dict[str, Roamer] = {}
        self.places: dict[str, str] = {}
        if at_home:
            self.net.stun_server(STUN_SERVER)
        link = self.net.segment("office") if conceals else None
        for name, addresses in (("A", a), ("B", b)):
            if link is not None:
                host = self.net.host(name, *addresses, behind=link)
            else:
                host = self._host(name, addresses, at_home=at_home and name == "A")
            agent = IceAgent(
                controlling=name == "A",
                servers=[f"stun:{STUN_SERVER}"] if at_home else (),
                policy="conceal-host" if conceals else "all",
                config=ROAMING,
                gathering=GatheringOptions(udp=not tcp, tcp=("active", "passive") if tcp else (), continual=trickles),
                nomination=Nomination(renominate=renominates),
                entropy=host.entropy,
            )
            self.programs[name] = Roamer(name, agent, host, self.net, trickles=trickles, renominates=renominates, waits=waits)
        one, two = self.programs.values()
        one.pair_up(two)
        for program in self.programs.values():
            self.later(0.0, program.begin)
        for when in SAYING:
            self.later(when, self.say)
        self.later(LAST_SAYING, lambda: self.say(LAST))

    def _host(self, name: str, addresses: Sequence[str], *, at_home: bool) -> Host:
        if not at_home:
            return self.net.host(name, *addresses)
        host = None
        for number, address in enumerate(addresses, 1):
            nat = self.net.nat(f"203.0.113.{number}", name=f"home {number}")
            self.places[f"203.0.113.{number}"] = name
            if host is None:
                host = self.net.host(name, address, behind=nat)
            else:
                host.attach(address, nat)
        assert host is not None
        return host

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        """Something that is planned."""
        self.net.at(self.net.now + seconds, what)

    def say(self, data: bytes = b"\x90 hello") -> None:
        """Both say something, if they can."""
        for program in self.programs.values():
            program.say(data)

    def flip(self, name: str, number: int) -> None:
        """The address of that number comes back where it was gone, and goes where it was there."""
        interface = self.programs[name].node.host.interfaces[number]
        if interface.is_up:
            interface.down()
        else:
            interface.up()

    def flap(self, name: str, number: int, times: int = FLAPS) -> None:
        """It comes and goes a hundred times a second, and the agent hears of each time: no program waits for it to come back."""
        self.flip(name, number)
        program = self.programs[name]
        if program.agent.state is not IceState.CLOSED:
            program._addresses = program.node.host.addresses
            program.node.call(program.agent.update_addresses, program._addresses)
        if times > 1:
            self.later(FLAP, lambda: self.flap(name, number, times - 1))

    def restart(self, name: str) -> None:
        """An application begins anew, whatever its addresses do."""
        program = self.programs[name]
        if program.node.running and program.agent.state is not IceState.CLOSED:
            program.restart()

    @property
    def nodes(self) -> dict[str, Node]:
        """By name."""
        return {name: program.node for name, program in self.programs.items()}

    def arena(self, *, until: float = 3.0, restarts: bool = False) -> Arena:
        """Every address comes and goes whenever it likes."""
        changes: dict[str, Callable[[], object]] = {}
        for name, program in self.programs.items():
            for number, interface in enumerate(program.node.host.interfaces):
                changes[f"{name}'s {interface.address} flips"] = lambda name=name, number=number: self.flip(name, number)  # type: ignore[misc]
            if restarts:
                changes[f"{name} restarts"] = lambda name=name: self.restart(name)  # type: ignore[misc]
        return Arena(self.net, self.nodes, changes=changes, places=self.places, config=ROAMING, until=until, settle=120.0)


def moving_regular() -> Arena:
    """A pair is selected once; only a restart brings another. A's addresses go in turn in mid-call, B's comes and goes."""
    journey = Journey()
    journey.later(1.0, lambda: journey.flip("A", 0))
    journey.later(1.7, lambda: journey.flip("A", 0))
    journey.later(2.2, lambda: journey.flip("A", 1))
    return journey.arena()


def moving_alone() -> Arena:
    """One address each: who loses it has none until it comes back, soon or when all is over."""
    journey = Journey(V4_A[:1])
    journey.later(0.8, lambda: journey.flip("A", 0))
    journey.later(1.4, lambda: journey.flip("A", 0))
    journey.later(2.0, lambda: journey.flip("B", 0))
    journey.later(32.0, lambda: journey.flip("B", 0))
    return journey.arena(until=2.5)


def moving_deserted() -> Arena:
    """A goes before anything was checked; B, who has failed by then, gets another address before A comes back."""
    journey = Journey(V4_A[:1], V4_B)
    journey.later(0.0, lambda: journey.flip("B", 1))
    journey.later(0.01, lambda: journey.flip("A", 0))
    journey.later(13.0, lambda: journey.flip("B", 1))
    journey.later(45.0, lambda: journey.flip("A", 0))
    return journey.arena(until=2.0)


def moving_early() -> Arena:
    """Addresses come and go while candidates are told and checked."""
    journey = Journey(V4_A, V4_B, trickles=True)
    journey.later(0.01, lambda: journey.flip("A", 0))
    journey.later(0.15, lambda: journey.flip("B", 0))
    journey.later(0.3, lambda: journey.flip("A", 0))
    return journey.arena(until=1.0)


def moving_renominated() -> Arena:
    """Both keep pairs at hand, and the controlling one moves."""
    journey = Journey(V4_A, V4_B, trickles=True, renominates=True)
    journey.later(1.0, lambda: journey.flip("A", 0))
    journey.later(1.8, lambda: journey.flip("B", 0))
    return journey.arena()


def moving_patient() -> Arena:
    """The same with programs that give renomination a second before they restart."""
    journey = Journey(V4_A, V4_B, trickles=True, renominates=True, waits=1.0)
    journey.later(1.0, lambda: journey.flip("B", 0))
    journey.later(2.2, lambda: journey.flip("B", 0))
    journey.later(2.8, lambda: journey.flip("B", 1))
    return journey.arena()


def moving_concealed() -> Arena:
    """On one link, with names in place of addresses, which come and go with them."""
    journey = Journey(("192.168.1.2", "192.168.1.3"), ("192.168.1.4",), trickles=True, conceals=True)
    journey.later(1.0, lambda: journey.flip("A", 0))
    journey.later(1.9, lambda: journey.flip("A", 0))
    return journey.arena()


def moving_flapping() -> Arena:
    """An address flaps a hundred times a second, and stays."""
    journey = Journey(V4_A, V4_B[:1], trickles=True, renominates=True)
    journey.later(0.6, lambda: journey.flap("A", 0))
    journey.later(1.6, lambda: journey.flap("B", 0))
    return journey.arena()


def moving_restarted() -> Arena:
    """Both applications begin anew while addresses come and go."""
    journey = Journey(V4_A, V4_B, trickles=True)
    journey.later(0.9, lambda: journey.restart("A"))
    journey.later(0.95, lambda: journey.flip("A", 0))
    journey.later(1.5, lambda: journey.flip("B", 0))
    journey.later(1.65, lambda: journey.restart("B"))
    return journey.arena(restarts=True)


def moving_home() -> Arena:
    """A leaves one NAT for another: its candidates are what a server says."""
    journey = Journey(("10.0.0.2", "10.9.0.2"), at_home=True)
    journey.later(0.0, lambda: journey.flip("A", 1))
    journey.later(1.5, lambda: journey.flip("A", 1))
    journey.later(1.7, lambda: journey.flip("A", 0))
    return journey.arena()


def moving_tcp() -> Arena:
    """All over TCP, with listeners and connections that go with their address."""
    journey = Journey(V4_A, V4_B, tcp=True, renominates=True, trickles=True)
    journey.later(1.0, lambda: journey.flip("A", 0))
    journey.later(2.0, lambda: journey.flip("A", 0))
    return journey.arena()


MOVING_WORLDS: dict[str, Callable[[], Arena]] = {
    world.__name__: world
    for world in (
        moving_regular,
        moving_alone,
        moving_deserted,
        moving_early,
        moving_renominated,
        moving_patient,
        moving_concealed,
        moving_flapping,
        moving_restarted,
        moving_home,
        moving_tcp,
    )
}
