"""Whatever comes, moves, restarts, goes or is forged: a packet reaches the agent that has proven its source, or nobody."""

import itertools

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ice._mux import WRONG, MuxBench, credentials
from ice._wire import at
from sansice.ice import AgentEvent, Credentials, DataReceived, MuxConfig, UnknownUfrag
from sansice.ice._mux._inside import holds

ADDRESSES = st.sampled_from([at(f"198.51.100.{number}", 5000) for number in range(1, 5)])
PLACES = st.integers(0, 3)


class AnyCrowd(RuleBasedStateMachine):
    """The model: who was proven to be at each address, among those who are here, and who would have it after him.

    Whether an agent still holds an address is a question to that agent; what follows from that is said here once more.
    """

    def __init__(self):
        super().__init__()
        self.bench = MuxBench(config=MuxConfig(max_sources=8, max_unknown_per_prefix=1000))
        self.numbers = itertools.count(1)
        self.words = itertools.count()
        self.here = {}  # agents by number: their names
        self.keys = {}  # their credentials
        self.proven = {}
        self.rivals = {}  # by address: a number, and whether the address was his

    def holds(self, number, source):
        [lane] = self.bench.mux._residents.members[self.here[number]].lanes
        return holds(lane.agent, lane.id, 0, source, self.bench.now)

    def prove(self, number, source):
        """A fresh check of a client, which its agent has answered."""
        owner, (rival, was_his) = self.proven.get(source), self.rivals.get(source, (None, False))
        if owner in (None, number):
            self.proven[source] = number
        elif rival == number and was_his and (self.holds(number, source) or not self.holds(owner, source)):
            self.proven[source], self.rivals[source] = number, (owner, False)
        elif not self.holds(owner, source):
            self.proven[source] = number
            self.rivals.pop(source, None)
            path = self.bench.mux.agent(self.here[owner]).path_of()
            if path is not None and path[1] == source:
                self.rivals[source] = owner, True
        elif not was_his:
            self.rivals[source] = number, False

    def pick(self, place):
        return sorted(self.here)[place % len(self.here)]

    def has_agents(self):
        return bool(self.here)

    @rule(lite=st.booleans(), known=st.booleans())
    def come(self, lite, known):
        number = next(self.numbers)
        make = self.bench.lite if lite else self.bench.full
        self.here[number], self.keys[number] = make(number, known=known), credentials(number)

    @precondition(has_agents)
    @rule(place=PLACES)
    def go(self, place):
        number = self.pick(place)
        self.bench.call(self.bench.mux.remove, self.here.pop(number))
        del self.keys[number]
        self.rivals = {source: rival for source, rival in self.rivals.items() if rival[0] != number}
        for source in [one for one, owner in self.proven.items() if owner == number]:
            del self.proven[source]
            if source in self.rivals:
                self.proven[source] = self.rivals.pop(source)[0]

    @precondition(has_agents)
    @rule(place=PLACES)
    def restart(self, place):
        number = self.pick(place)
        word = next(self.words)
        fresh = Credentials(f"fresh{word}", f"passwordThatIsFresh{word:05}")
        self.bench.command(self.here[number], "restart", credentials=fresh)
        self.keys[number] = fresh

    @precondition(has_agents)
    @rule(place=PLACES, source=ADDRESSES, nominate=st.booleans())
    def check(self, place, source, nominate):
        number = self.pick(place)
        answer = self.bench.check(number, source, ours=self.keys[number], nominate=nominate)
        if answer is not None and answer.has_integrity:
            self.prove(number, source)

    @precondition(has_agents)
    @rule(place=PLACES, source=ADDRESSES)
    def forge(self, place, source):
        number = self.pick(place)
        answer = self.bench.check(number, source, ours=self.keys[number], key=WRONG)
        assert answer is None or not answer.has_integrity

    @rule(source=ADDRESSES)
    def be_unknown(self, source):
        number = next(self.numbers)
        before = len([one for one in self.bench.events if isinstance(one, UnknownUfrag)])
        for _ in range(2):
            assert self.bench.check(number, source) is None
        offers = [one for one in self.bench.events if isinstance(one, UnknownUfrag)]
        assert [one.ufrag for one in offers[before:]] == [credentials(number).ufrag]
        name = self.bench.lite(number)
        assert self.bench.sent[-1].destination == source and self.bench.sent[-1].data[:2] == b"\1\1"
        self.here[number], self.keys[number] = name, credentials(number)
        self.prove(number, source)

    @rule(source=ADDRESSES)
    def talk(self, source):
        data = b"\x80" + next(self.words).to_bytes(4, "big")
        self.bench.arrive(source, data)
        got = [one.agent for one in self.bench.events if isinstance(one, AgentEvent) and one.event == DataReceived(0, 1, data)]
        owner = self.proven.get(source)
        assert got in ([], [self.here.get(owner)])
        if owner is None:
            assert got == []

    @rule(seconds=st.sampled_from([0.01, 0.5, 5.0, 20.0]))
    def wait(self, seconds):
        self.bench.run(until=self.bench.now + seconds)

    @invariant()
    def routes_are_the_proofs_of_those_who_are_here(self):
        [shared] = self.bench.mux._listening.sockets.values()
        by_name = {source: lane.name for source, lane in shared.routes.items()}
        assert by_name == {source: self.here[number] for source, number in self.proven.items()}
        rivals = {source: (rival.lane.name, rival.was_first) for source, rival in shared.rivals.items()}
        assert rivals == {source: (self.here[number], was_his) for source, (number, was_his) in self.rivals.items()}
        for lane in shared.lanes.values():
            assert all(shared.routes[source] is lane for source in lane.sources)

    @invariant()
    def nothing_of_those_who_are_gone_is_left(self):
        residents = self.bench.mux._residents
        names = set(self.here.values())
        assert set(residents.members) == names
        assert {member.id for member in residents.by_ufrag.values()} <= names
        assert {lane.name for lane in residents.lanes.values()} <= names
        assert len(residents.timers) <= len(names)


TestAnyCrowd = AnyCrowd.TestCase
TestAnyCrowd.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
