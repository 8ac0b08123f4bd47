"""Addresses of the machine that go and come (RFC 8445 5.1.1.4)."""

import pytest

from ice._session import PEER, checking, refuses, selected
from ice._wire import THEIRS, Bench, candidate
from sansice.ice import CandidateGathered, Description, IceAgent, IceFailed, IceState
from sansice.machine import LocalProtocolError, SocketId

HOSTS = ("192.0.2.1", "192.0.2.2")


@pytest.mark.req("RFC8445-017")
def test_candidates_of_an_address_that_is_gone_are_gone_with_its_socket_and_its_pairs():
    bench = checking(hosts=HOSTS)
    assert [pair.local.address.host for pair in bench.agent.pairs] == list(HOSTS)
    bench.call(bench.agent.update_addresses, ["192.0.2.2"])
    assert [socket for _, socket in bench.closed] == [1]
    assert [one.address.host for one in bench.agent.local_candidates] == ["192.0.2.2"]
    bench.run(20.0)
    assert {one.socket for one in bench.requests if one.at > 0.0} == {2}
    states = {pair.local.address.host: pair.state.value for pair in bench.agent.pairs}
    assert states == {"192.0.2.1": "failed", "192.0.2.2": "in-progress"}


@pytest.mark.req("RFC8445-017")
def test_new_addresses_add_candidates_that_are_told_while_gathering_goes_on():
    bench = checking(servers=("stun:203.0.113.1",))
    bench.call(bench.agent.update_addresses, HOSTS)
    assert [one.address.host for one in bench.agent.local_candidates] == list(HOSTS)
    assert [event.candidate.address.host for event in bench.heard(CandidateGathered)] == list(HOSTS)
    assert {pair.local.address.host for pair in bench.agent.pairs} == set(HOSTS)


@pytest.mark.req("RFC8838-021")
def test_new_addresses_after_the_end_of_gathering_are_checked_from_and_not_told():
    bench = checking()
    bench.call(bench.agent.update_addresses, HOSTS)
    bench.run(0.1)
    assert {one.socket for one in bench.checks} == {1, 2}
    assert [one.address.host for one in bench.agent.local_candidates] == ["192.0.2.1"]
    assert len(bench.heard(CandidateGathered)) == 1


def test_the_same_addresses_change_nothing():
    bench = checking(hosts=HOSTS)
    before = bench.agent.local_candidates
    bench.call(bench.agent.update_addresses, list(reversed(HOSTS)))
    assert bench.closed == [] and bench.agent.local_candidates == before


def test_a_selected_pair_whose_address_is_gone_ends_the_stream_and_a_restart_revives_it():
    bench = selected()
    bench.call(bench.agent.update_addresses, ["192.0.2.7"])
    assert bench.agent.state is IceState.FAILED and isinstance(bench.agent.failure, IceFailed)
    bench.call(bench.agent.restart)
    bench.call(bench.agent.gather, ["192.0.2.7"])
    peer = Description("their2", "t" * 22, candidates=(candidate(PEER.host, PEER.port),), options=("ice2",))
    bench.call(bench.agent.set_remote, peer)
    bench.run(bench.now + 0.1)
    assert bench.agent.state is IceState.CHECKING
    check = bench.check
    assert bench.base(check.socket).host == "192.0.2.7" and check.destination == PEER


def test_addresses_come_and_go_before_gather_and_after_close_in_vain():
    with pytest.raises(LocalProtocolError, match=r"gather\(\) comes first"):
        IceAgent(controlling=True).update_addresses(["192.0.2.1"], now=0.0)
    bench = Bench(known=False, hosts=())
    refuses(bench, bench.agent.update_addresses, ["localhost"], match="localhost")
    bench.call(bench.agent.close)
    refuses(bench, bench.agent.update_addresses, ["192.0.2.1"], match="closed")


@pytest.mark.req("RFC8838-012")
def test_no_check_leaves_from_a_candidate_before_it_is_told():
    agent = IceAgent(controlling=True)
    agent.gather(["192.0.2.1"], now=0.0)
    peer = Description(THEIRS.ufrag, THEIRS.pwd, candidates=(candidate(PEER.host, PEER.port),))
    agent.set_remote(peer, now=0.0)
    agent.take_outputs()
    agent.handle_socket_opened(SocketId(1), candidate("192.0.2.1", 4001).address, now=0.0)
    kinds = [type(output).__name__ for output in agent.take_outputs()]
    assert kinds.index("CandidateGathered") < kinds.index("SendDatagram")
