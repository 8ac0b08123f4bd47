"""Trickling as agents see it: what is paired when, and half of it (RFC 8838)."""

import attrs
import pytest

from ice._session import Two, selected
from ice._wire import at, candidate
from sansice.ice import CandidateGathered, Credentials, Description, IceAgent, SessionDescription
from sansice.machine import OpenSocket, SendDatagram

PEER = Description("peer", "q" * 22, candidates=[candidate("198.51.100.1")], options=["ice2"])


def opened(agent, host="192.0.2.1"):
    """An agent whose sockets are open, and what it said since."""
    agent.gather([host], now=0.0)
    for output in agent.take_outputs():
        if isinstance(output, OpenSocket):
            agent.handle_socket_opened(output.socket, at(host, 4000 + output.socket), now=0.0)
    return agent.take_outputs()


@pytest.mark.req("RFC8838-012")
def test_local_candidate_is_told_before_anything_is_sent_from_it():
    agent = IceAgent(controlling=True, entropy=bytes)
    agent.set_remote(PEER, now=0.0)
    kinds = [type(output) for output in opened(agent) if isinstance(output, CandidateGathered | SendDatagram)]
    assert kinds == [CandidateGathered, SendDatagram]


@pytest.mark.req("RFC8838-007")
def test_stream_without_pairs_does_not_cost_the_others_a_turn():
    own = [Credentials(f"own{number}", str(number) * 22) for number in range(3)]
    agent = IceAgent(controlling=True, streams=3, credentials=own, entropy=bytes)
    opened(agent)
    empty = attrs.evolve(PEER, candidates=(), options=["ice2", "trickle"], end_of_candidates=False)
    last = attrs.evolve(empty, candidates=[candidate(f"198.51.100.{number}", foundation=str(number)) for number in (1, 2, 3)])
    agent.set_remote(SessionDescription([empty, empty, last]), now=1.0)
    times = []
    now = 1.0
    for _ in range(3):
        times += [(round(now, 3), one.destination.host) for one in agent.take_outputs() if isinstance(one, SendDatagram)]
        now = agent.deadline()
        agent.handle_timer(now=now)
    assert times == [(1.0, "198.51.100.1"), (1.05, "198.51.100.2"), (1.1, "198.51.100.3")]


@pytest.mark.req("RFC8838-024")
def test_who_told_all_at_once_takes_what_the_other_trickles():
    two = Two()
    two.net.run(until=0.1)
    two.node_b.call(two.b.set_remote, two.a.local_description)  # complete
    complete = two.b.local_description
    two.node_a.call(two.a.set_remote, attrs.evolve(complete, candidates=(), options=["ice2", "trickle"], end_of_candidates=False))
    for one in complete.candidates:
        two.node_a.call(two.a.add_remote_candidate, one)
    two.node_a.call(two.a.end_of_candidates)
    assert two.connect()
    assert two.a.local_description.end_of_candidates is True


AGAIN = Description("again", "r" * 22, options=["ice2"], end_of_candidates=False)  # which does not say again that it trickles


@pytest.mark.req("RFC8838-005", "RFC8838-023")
def test_after_a_restart_candidates_may_be_trickled_as_before():
    bench = selected()
    bench.call(bench.agent.restart)
    bench.call(bench.agent.set_remote, AGAIN)
    assert bench.call(bench.agent.add_remote_candidate, candidate("198.51.100.7"), ufrag="again") is True
    bench.run(bench.now + 1.0)
    assert at("198.51.100.7") in [one.destination for one in bench.checks]
    bench.call(bench.agent.end_of_candidates, ufrag="again")


@pytest.mark.req("RFC8839-025")
def test_restart_keeps_the_selected_pair_for_sending_and_starts_with_empty_checklists():
    bench = selected()
    before = bench.agent.selected_pair
    [checked] = bench.agent.pairs
    bench.call(bench.agent.restart)
    assert checked not in bench.agent.pairs
    assert bench.agent.pairs == ()
    bench.call(bench.agent.send, b"goes on")
    assert (bench.sent[-1].destination, bench.sent[-1].data) == (before.remote.address, b"goes on")
    bench.call(bench.agent.set_remote, AGAIN)
    bench.call(bench.agent.send, b"and on")
    assert (bench.sent[-1].destination, bench.sent[-1].data) == (before.remote.address, b"and on")
