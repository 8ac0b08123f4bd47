"""The mux keeps the contract of machines, and a flood of strangers leaves nothing behind."""

import random

from hypothesis import strategies as st

from ice._lite import check_bytes
from ice._mux import PORT, WRONG, client, credentials
from ice._wire import at
from sansice.ice import GatheringOptions, GatheringState, IceAgent, IceMux, IceState, LiteAgent, MuxConfig
from sansice.machine import LocalProtocolError, SocketId, Transport
from sansice.simulation import check_machine
from sansice.stun import Listener, frame_rfc4571

CONFIG = MuxConfig(
    max_unknown=4,
    max_unknown_per_prefix=2,
    max_refused=8,
    max_sources=2,
    max_transactions=16,
    max_silent=6,
    max_silent_per_prefix=4,
)
TCP_PORT = Listener(Transport.TCP, PORT)


class Crowd(IceMux):
    """A mux that makes its agents itself, so that a script can have them come, act and go by number."""

    __slots__ = ("_callers", "_names", "_seed")

    def __init__(self, entropy):
        super().__init__(config=CONFIG)
        self._seed = entropy(8)  # the agents draw from sources of their own, so that one that is refused has drawn nothing
        self._names = {}
        self._callers = 0

    def join(self, number, *, lite=True, gather=True, now):
        entropy = random.Random(self._seed + bytes([number])).randbytes
        tcp = GatheringOptions(tcp=("passive",)) if number % 2 else GatheringOptions()
        made = {"controlling": False, "credentials": credentials(number), "entropy": entropy, "ids": self.ids, "gathering": tcp}
        agent = LiteAgent(**made) if lite else IceAgent(**made, pacer=self.pacer)
        self._names[number] = self.add(agent, now=now)
        if gather:
            self.gather(self._names[number], now=now)

    def act(self, number, command, *arguments, now):
        """A command for an agent; the agents' own tests say which ones they refuse."""
        name = self._named(number)
        agent = self.agent(name)
        if command != "close" and agent.state in (IceState.CLOSED, IceState.FAILED):
            raise LocalProtocolError("over")
        if command == "set_remote" and agent.gathering_state is GatheringState.NEW:
            raise LocalProtocolError("too early")
        getattr(agent, command)(*arguments, now=now)
        self.absorb(name, now=now)

    def come(self, owner, key, size, *, now):
        """Somebody connects, and says as much as that of a check for an agent that is here, or is not."""
        listeners = [one for one in self._listening.sockets.values() if one.listener == TCP_PORT and one.local]
        if not listeners:
            raise LocalProtocolError("nothing listens over TCP")
        self._callers += 1
        socket = SocketId(-1000 - self._callers)
        self.handle_accepted(listeners[0].id, socket, at("203.0.113.7", self._callers), now=now)
        check = check_bytes(self._callers, ours=credentials(owner), theirs=client(owner).ufrag, key=key, use_candidate=True)
        self.handle_stream_data(socket, frame_rfc4571(check)[:size], now=now)

    def leave(self, number, *, now):
        self.remove(self._named(number), now=now)

    def say(self, number, data, *, now):
        self.send(self._named(number), data, now=now)

    def _named(self, number):
        if self._names.get(number) not in self.agents:
            raise LocalProtocolError("nobody")
        return self._names[number]


NUMBERS = st.integers(1, 4)
COMMANDS = {
    "start": [((PORT,),), ((PORT, at("2001:db8::1")),), ((PORT, TCP_PORT),), ((),), ((at("0.0.0.0"),),)],
    "come": st.tuples(st.integers(1, 6), st.sampled_from([None, WRONG]), st.sampled_from([1, 40, 4096])),
    "join": st.builds(
        lambda number, lite, gather: {"number": number, "lite": lite, "gather": gather}, NUMBERS, st.booleans(), st.booleans()
    ),
    "act": st.tuples(NUMBERS, st.sampled_from(["restart", "close", "end_of_candidates"]))
    | NUMBERS.map(lambda number: (number, "set_remote", client(number)))
    | NUMBERS.map(lambda number: (number, "gather", ["192.0.2.1", "192.0.2.9"])),
    "leave": st.tuples(NUMBERS),
    "say": st.tuples(NUMBERS, st.binary(max_size=8)),
    "refuse": [("server1",), ("server2",), ("nobody",)],
    "close": [()],
}
CHECKS = st.builds(
    lambda number, owner, nominates: check_bytes(
        number, ours=credentials(owner), theirs=client(owner).ufrag, use_candidate=nominates
    ),
    st.integers(1, 9),
    st.integers(1, 6),
    st.booleans(),
)


def crowded(mux, now):
    mux.start([PORT, TCP_PORT], now=now)
    mux.join(1, now=now)
    mux.join(2, lite=False, now=now)
    mux.act(2, "set_remote", client(2), now=now)


def state_size(mux):
    """How much a mux remembers that strangers could have made it remember."""
    residents = mux._residents
    routes = sum(len(shared.routes) for shared in mux._listening.sockets.values())
    waiting = len(residents.doorstep) + len(residents.owners)
    known = len(residents.lanes) + len(residents.by_ufrag)
    return routes + waiting + known + len(residents.strangers) + len(residents.transactions)


def test_mux_keeps_the_contract():
    check_machine(
        Crowd,
        commands=COMMANDS,
        datagrams=CHECKS,
        secrets=lambda mux: [credentials(number).pwd for number in range(1, 7)],
        measure=state_size,
        bound=200,
        max_examples=40,
    )


def test_crowded_mux_keeps_the_contract():
    check_machine(
        Crowd,
        setup=crowded,
        commands={name: tried for name, tried in COMMANDS.items() if name != "start"},
        datagrams=CHECKS,
        secrets=lambda mux: [credentials(number).pwd for number in range(1, 7)],
        measure=state_size,
        bound=200,
        max_examples=40,
    )
