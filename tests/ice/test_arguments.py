"""The arguments of ``open_ice``, which are checked before anything is made."""

import math

import pytest

from ice._connections import open_arguments
from sansice.driver import NoRecorder
from sansice.ice import CandidatePolicy, Credentials, GatheringOptions, IceAgent, IceConfig, LiteAgent, Nomination, Pacer
from sansice.ice._arguments import make_agent
from sansice.machine import LocalProtocolError

CREDENTIALS = Credentials("ufrag", "password" * 3)


class Noting(NoRecorder):
    """Keeps what it was asked to make."""

    def make(self, kind, /, **arguments):
        self.kind, self.arguments = kind, arguments
        return kind(**arguments)


def made(**changes):
    recorder = Noting()
    make_agent(open_arguments(**changes), recorder)
    return recorder


def test_what_is_asked_for_is_what_the_agent_is_told():
    wanted = {
        "controlling": False,
        "streams": 2,
        "components": [2, 1],
        "credentials": CREDENTIALS,
        "policy": CandidatePolicy.NO_HOST,
        "nomination": Nomination(renominate=True),
        "pacer": Pacer(),
        "gathering": GatheringOptions(dscp=46),
        "config": IceConfig(ta=0.005),
    }
    recorder = made(**wanted, ice_servers=["stun:192.0.2.1"])
    assert recorder.kind is IceAgent
    assert recorder.arguments == {**wanted, "servers": ["stun:192.0.2.1"], "entropy": bytes}


def test_what_is_left_out_is_the_agents_default():
    told = made().arguments
    assert (told["nomination"], told["gathering"]) == (Nomination(), GatheringOptions())
    assert "pacer" not in told


def test_a_recording_cannot_have_a_pacer_that_others_use_too():
    class Recorder:
        def make(self, kind, /, **arguments):
            return kind(**arguments)

    with pytest.raises(LocalProtocolError, match="record and pacer"):
        make_agent(open_arguments(pacer=Pacer()), Recorder())
    assert isinstance(make_agent(open_arguments(), Recorder()), IceAgent)


def test_a_lite_agent_is_told_what_concerns_it():
    listening = GatheringOptions(tcp=("passive",))
    recorder = made(lite=True, controlling=False, components=2, credentials=CREDENTIALS, gathering=listening)
    assert recorder.kind is LiteAgent
    assert recorder.arguments == {
        "controlling": False,
        "streams": 1,
        "components": 2,
        "credentials": CREDENTIALS,
        "config": IceConfig(),
        "gathering": listening,
        "entropy": bytes,
    }


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("ice_servers", ["stun:192.0.2.1"]),
        ("policy", "relay"),
        ("nomination", Nomination()),
        ("pacer", Pacer()),
    ],
)
def test_what_means_nothing_to_a_lite_agent_is_refused(argument, value):
    with pytest.raises(LocalProtocolError, match=f"a lite agent .+: no {argument}"):
        made(lite=True, **{argument: value})


@pytest.mark.parametrize("nothing", [{"ice_servers": []}, {"policy": CandidatePolicy.ALL}, {"nomination": None}])
def test_a_lite_agent_may_be_told_that_nothing_of_that_is_wanted(nothing):
    assert made(lite=True, **nothing).kind is LiteAgent


@pytest.mark.parametrize("value", [(0, 5), (5, 4), (1, 65536), (1,), (1, 2, 3), ("1", "2"), 5])
def test_a_range_of_ports_that_is_none_is_refused(value):
    with pytest.raises(LocalProtocolError, match="port_range"):
        made(port_range=value)


def test_the_widest_and_the_narrowest_range_of_ports_are_good():
    for value in ((1, 65535), (5000, 5000)):
        assert made(port_range=value).kind is IceAgent


@pytest.mark.parametrize("value", [0, -1.0, math.inf, math.nan])
def test_a_time_between_two_looks_that_is_none_is_refused(value):
    with pytest.raises(LocalProtocolError, match="watch_network"):
        made(watch_network=value)


@pytest.mark.parametrize("bound", ["max_queued", "max_queued_bytes"])
def test_a_queue_without_room_is_refused(bound):
    with pytest.raises(LocalProtocolError, match="a queue of less than one datagram"):
        made(**{bound: 0})


def test_a_nomination_that_is_none_is_refused():
    with pytest.raises(LocalProtocolError, match="nomination is a Nomination, not 'regular'"):
        made(nomination="regular")


def test_what_is_refused_makes_nothing():
    recorder = Noting()
    with pytest.raises(LocalProtocolError):
        make_agent(open_arguments(port_range=5), recorder)
    assert not hasattr(recorder, "kind")
