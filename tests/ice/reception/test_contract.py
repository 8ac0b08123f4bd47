"""A reception keeps the contract of machines, whoever comes, and a crowd of strangers leaves nothing behind."""

from hypothesis import strategies as st

from ice._lite import check_bytes
from ice._mux import ALICE, BOB, CAROL, PORT, WRONG, client, credentials
from ice._reception import HASTY
from ice._wire import at
from sansice.ice import Admission, GatheringState, IceReception, IceState, MuxConfig
from sansice.machine import LocalProtocolError
from sansice.simulation import check_machine
from sansice.stun import PENDING

CONFIG = MuxConfig(max_unknown=4, max_unknown_per_prefix=3, max_refused=8, max_sources=2, max_transactions=16)


def admit(stranger):
    """Some are wanted, some are not, about some the answer comes later, and for some the function fails."""
    number = int(stranger.ufrag[-1])
    if number == 4:
        return None
    if number == 5:
        return PENDING
    if number == 6:
        raise ValueError("on purpose")
    return Admission(credentials(number).pwd, client(number).pwd)


class Door(IceReception):
    """A reception whose agents can be told something by the numbers of their coming."""

    __slots__ = ()

    def __init__(self, entropy, *, lite=True):
        super().__init__(lite=lite, admit=admit, limits=HASTY, mux=CONFIG, entropy=entropy)

    def come(self, owner, source, nominates, *, now):
        """A check of somebody's arrives, with the right password."""
        if not self.mux.addresses:
            raise LocalProtocolError("nothing is open")
        check = check_bytes(owner, ours=credentials(owner), theirs=client(owner).ufrag, use_candidate=nominates)
        (port,) = [one for one in self.mux._listening.sockets.values() if one.local][:1]
        self.handle_datagrams(port.id, [(source, check)], now=now)

    def act(self, number, command, *arguments, now):
        """A command for an agent; the agents' own tests say which ones they refuse."""
        names = self.mux.agents
        if not names:
            raise LocalProtocolError("nobody")
        name = names[number % len(names)]
        agent = self.agent(name)
        if command != "close" and (
            agent.state in (IceState.CLOSED, IceState.FAILED) or agent.gathering_state is not GatheringState.COMPLETE
        ):
            raise LocalProtocolError("not now")
        self.tell(name, getattr(agent, command), *arguments, now=now)


def full(entropy):
    """The same with full agents."""
    return Door(entropy, lite=False)


COMMANDS = {
    "start": [((PORT,),), ((PORT, at("2001:db8::1")),), ((),), ((at("0.0.0.0"),),)],
    "open": [{}, {"credentials": credentials(8)}],
    "act": st.tuples(st.integers(0, 3), st.sampled_from(["restart", "close", "end_of_candidates"])),
    "come": st.tuples(st.integers(1, 7), st.sampled_from([ALICE, BOB, CAROL]), st.booleans()),
    "accept": [()],
    "admit": [(credentials(5).ufrag, credentials(5).pwd), (credentials(5).ufrag, "short"), ("nobody", "x" * 22)],
    "refuse": [(credentials(5).ufrag,), ("nobody",)],
    "close": [()],
}
CHECKS = st.builds(
    lambda number, owner, key, nominates: check_bytes(
        number, ours=credentials(owner), theirs=client(owner).ufrag, key=key, use_candidate=nominates
    ),
    st.integers(1, 99),
    st.integers(1, 7),
    st.sampled_from([None, WRONG]),
    st.booleans(),
)


def open_for_all(machine, now):
    machine.start([PORT], now=now)


def state_size(machine):
    """How much strangers could have made it remember."""
    residents = machine.mux._residents
    waiting = len(machine._arriving) + len(machine._waiting) + len(machine._strangers)
    return waiting + len(residents.strangers) + len(residents.transactions) + len(residents.lanes)


def secrets(machine):
    return [one.pwd for number in range(1, 9) for one in (credentials(number), client(number))]


def test_a_reception_keeps_the_contract():
    check_machine(Door, commands=COMMANDS, datagrams=CHECKS, secrets=secrets, measure=state_size, bound=200, max_examples=80)


def test_a_reception_of_full_agents_keeps_the_contract():
    check_machine(
        full,
        setup=open_for_all,
        commands={name: tried for name, tried in COMMANDS.items() if name != "start"},
        datagrams=CHECKS,
        secrets=secrets,
        measure=state_size,
        bound=200,
        max_examples=80,
    )
