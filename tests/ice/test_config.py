"""Timers have the RFCs' values, and cannot be set below what the RFCs allow."""

import math

import pytest

from sansice.ice import CandidateType, IceConfig
from sansice.stun import Schedule


@pytest.mark.req("RFC8445-122", "RFC8445-113", "RFC7675-008")
def test_defaults_are_those_of_the_specifications():
    config = IceConfig()
    assert config.ta == 0.05
    assert config.keepalive_interval == 15.0
    assert config.consent_interval == 5.0


@pytest.mark.req("RFC8863-002")
def test_patience_is_as_long_as_one_unanswered_check():
    assert IceConfig().pac_timeout == IceConfig().schedule.duration == 39.5


@pytest.mark.req("RFC8445-113")
def test_keepalives_more_often_than_every_15_s_are_refused():
    assert IceConfig(keepalive_interval=15.0).keepalive_interval == 15.0
    with pytest.raises(ValueError, match="keepalive_interval"):
        IceConfig(keepalive_interval=14.9)


@pytest.mark.req("RFC8445-127")
def test_rto_below_half_a_second_is_refused():
    IceConfig(schedule=Schedule(rto=0.5))
    with pytest.raises(ValueError, match="schedule"):
        IceConfig(schedule=Schedule(rto=0.49, minimum_rto=0.1))


@pytest.mark.req("RFC7675-009")
def test_consent_period_whose_shortest_is_below_4_s_is_refused():
    assert IceConfig(consent_interval=5.0).consent_interval * 0.8 == 4.0
    with pytest.raises(ValueError, match="consent_interval"):
        IceConfig(consent_interval=4.9)


def test_pacing_faster_than_5_ms_is_refused():
    IceConfig(ta=0.005)
    with pytest.raises(ValueError, match="ta"):
        IceConfig(ta=0.0049)


def test_defaults_cannot_be_changed_from_outside():
    config = IceConfig()
    with pytest.raises(TypeError):
        config.acceptance_waits[next(iter(config.acceptance_waits))] = 0.0
    with pytest.raises(AttributeError):
        config.ta = 1.0


@pytest.mark.parametrize("name", ["ta", "max_ta", "pac_timeout", "consent_timeout", "gathering_timeout", "free_delay"])
@pytest.mark.parametrize("value", [float("nan"), -1.0, float("-inf")])
def test_durations_that_are_none_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        IceConfig(**{name: value})


def test_only_what_infinity_switches_off_may_be_infinite():
    assert IceConfig(free_delay=math.inf, disconnected_after=math.inf).free_delay == math.inf
    with pytest.raises(ValueError, match="pac_timeout"):
        IceConfig(pac_timeout=math.inf)


@pytest.mark.parametrize(
    "name", ["max_pairs", "max_remote_candidates", "max_peer_reflexive", "max_early_checks", "max_host_addresses"]
)
def test_bounds_below_one_are_refused(name):
    with pytest.raises(ValueError, match=name):
        IceConfig(**{name: 0})


def test_acceptance_waits_that_are_left_out_keep_their_default():
    waits = IceConfig(acceptance_waits={CandidateType.HOST: 1.0}).acceptance_waits
    assert waits[CandidateType.HOST] == 1.0
    assert waits[CandidateType.RELAYED] == 2.0
    with pytest.raises(ValueError, match="relay"):
        IceConfig(acceptance_waits={CandidateType.RELAYED: -1.0})


@pytest.mark.parametrize("size", [575, 65536])
def test_a_packet_smaller_than_every_host_takes_or_larger_than_ip_has_is_refused(size):
    assert IceConfig().path_mtu == 1280
    assert IceConfig(path_mtu=576).path_mtu == 576
    with pytest.raises(ValueError, match=f"path_mtu: {size} is outside 576..65535"):
        IceConfig(path_mtu=size)
