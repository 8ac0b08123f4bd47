"""What changes between two looks at an agent."""

from types import SimpleNamespace

from sansice.ice import Candidate, CandidatePair, IceState, PairState
from sansice_cli.demo._reports import PairMoved, StateMoved
from sansice_cli.demo._watch import Watch

HERE = Candidate.from_sdp("candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host")
THERE = Candidate.from_sdp("candidate:1 1 udp 2130706431 192.0.2.2 5000 typ host")


def pair(state):
    return CandidatePair(HERE, THERE, 1, state, nominated=False)


def test_every_change_is_told_once():
    told = []
    agent = SimpleNamespace(state=IceState.NEW, pairs=[])
    watch = Watch(agent, told.append)
    watch.look(1.0)
    agent.state, agent.pairs = IceState.CHECKING, [pair(PairState.WAITING)]
    watch.look(2.0)
    watch.look(2.5)
    agent.pairs = [pair(PairState.SUCCEEDED)]
    watch.look(3.0)
    agent.pairs = []
    watch.look(4.0)
    assert told == [
        StateMoved(2.0, IceState.CHECKING),
        PairMoved(2.0, HERE, THERE, 1, PairState.WAITING),
        PairMoved(3.0, HERE, THERE, 1, PairState.SUCCEEDED),
        PairMoved(4.0, HERE, THERE, 1, None),
    ]
