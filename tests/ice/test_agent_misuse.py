"""A careless caller is told what was wrong, and the agent is as it was before."""

import pytest

from ice._session import LOST, ONE, checking, peer, refuses, selected, states, validated
from ice._wire import at
from sansice.ice import ConsentLost, Description, IceAgent, IceClosed, IceFailed, IceServer, IceState, PairState
from sansice.machine import Address, CloseSocket, LocalProtocolError, SendDatagram

TEXT = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"


@pytest.mark.parametrize("role", ["controlled", None, 1])
def test_role_that_is_no_bool_is_refused(role):
    with pytest.raises(LocalProtocolError, match="controlling"):
        IceAgent(controlling=role)


@pytest.mark.parametrize(
    "servers",
    ["stun:192.0.2.1:3479", ["stun:192.0.2.1:3479"], IceServer("stun:192.0.2.1:3479"), [IceServer(["stun:192.0.2.1:3479"])]],
)
def test_servers_may_be_one_or_several_texts_or_values(servers):
    agent = IceAgent(controlling=True, servers=servers)
    agent.gather(["192.0.2.2"], now=0.0)
    (asked,) = agent.take_outputs()
    agent.handle_socket_opened(asked.socket, Address("192.0.2.2", 4000), now=0.0)
    assert Address("192.0.2.1", 3479) in [output.destination for output in agent.take_outputs() if type(output) is SendDatagram]


def test_remote_description_as_text_is_refused_before_anything_changes():
    bench = checking(known=False)
    refuses(bench, bench.agent.set_remote, "{}", match="from_json")
    refuses(bench, bench.agent.add_remote_candidate, TEXT, match="from_sdp")
    refuses(bench, bench.agent.gather, "192.0.2.1", match="called before")


def test_addresses_as_one_text_are_refused():
    agent = IceAgent(controlling=True)
    with pytest.raises(LocalProtocolError, match="a list of addresses"):
        agent.gather("192.0.2.1", now=0.0)
    agent.gather(["192.0.2.1"], now=0.0)


def test_time_that_is_no_number_changes_nothing():
    theirs = IceAgent(controlling=False).local_description
    agent = IceAgent(controlling=True)
    with pytest.raises(TypeError):
        agent.gather(["192.0.2.1"], now=None)
    with pytest.raises(TypeError):
        agent.set_remote(theirs, now=None)
    assert agent.state is IceState.NEW
    agent.gather(["192.0.2.1"], now=0.0)
    agent.set_remote(theirs, now=0.0)
    assert agent.state is IceState.CHECKING


@pytest.mark.parametrize("data", ["hello", None, 0, [100, 200], object()])
def test_data_that_is_no_bytes_is_refused(data):
    bench = selected()
    refuses(bench, bench.agent.send, data, match=r"bytes, not")


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_mutable_data_is_copied(kind):
    bench = selected()
    buffer = bytearray(b"hello")
    bench.agent.take_outputs()
    bench.agent.send(kind(buffer), now=bench.now)
    buffer[0] = 0
    (output,) = bench.agent.take_outputs()
    assert type(output) is SendDatagram
    assert output.data == b"hello"
    assert type(output.data) is bytes


@pytest.mark.parametrize(
    ("field", "value"),
    [("candidates", [TEXT]), ("candidates", "abc"), ("options", "ice2"), ("lite", "no"), ("end_of_candidates", 1)],
)
def test_description_of_the_wrong_kind_names_the_field(field, value):
    with pytest.raises(ValueError, match=field.replace("options", "ice-options")):
        Description("abcd", "0123456789abcdefghijkl", **{field: value})


def test_socket_that_is_said_to_open_twice_stays_open():
    bench = selected()
    bench.agent.handle_socket_opened(ONE, at("192.0.2.1", 5000), now=bench.now)
    assert not [output for output in bench.agent.take_outputs() if isinstance(output, CloseSocket)]
    assert bench.agent.writable


def test_agent_that_lost_its_only_valid_pair_is_checking_again():
    bench = validated(remotes=(peer(1), peer(2)))
    bench.run(until=29.99)
    assert bench.agent.writable
    bench.run(until=30.0)
    assert not bench.agent.writable
    assert [state for _, state in states(bench)][-1] == "checking"
    assert all(pair.state is not PairState.SUCCEEDED for pair in bench.agent.pairs)


def test_failure_says_what_waiting_must_raise():
    bench = selected()
    assert bench.agent.failure is None
    bench.agent.handle_socket_failed(ONE, LOST, now=bench.now)
    failure = bench.agent.failure
    assert type(failure) is IceFailed
    assert "interface gone" in failure.explanation
    bench.agent.close(now=bench.now)
    assert type(bench.agent.failure) is IceClosed


def test_failure_without_consent_is_not_that_of_a_lost_socket():
    bench = selected()
    bench.run(until=31.0)
    assert bench.agent.state is IceState.FAILED
    assert type(bench.agent.failure) is ConsentLost


def test_failure_to_connect_explains_itself():
    bench = checking()
    bench.run(until=40.0)
    failure = bench.agent.failure
    assert type(failure) is IceFailed
    assert "no check was answered" in failure.explanation


def test_restart_of_a_closed_agent_is_refused():
    bench = selected()
    bench.call(bench.agent.close)
    refuses(bench, bench.agent.restart, match="closed")
