"""TCP connections as a NAT sees them go by (RFC 5382 5, RFC 6146 3.5.2)."""

import itertools

import pytest

from sansice.simulation import TcpTimeouts
from sansice.simulation._nat._tcp_states import (
    NAT_TCP_TRANSITIONS,
    Control,
    Side,
    TcpSession,
    TcpState,
    asks_to_connect,
    control_of,
)
from sansice.simulation._world._packets import TcpFlags, TcpSegment

TIMEOUTS = TcpTimeouts(opening=1.0, established=100.0, closing=10.0, reset=5.0)
IN, OUT = Side.INSIDE, Side.OUTSIDE


def segment(flags):
    return TcpSegment(flags, 0, 0, 0)


def session(*steps):
    """A session after (side, control) one second apart, from 0 on."""
    (side, control), *rest = steps
    found = TcpSession(side, control, TIMEOUTS, 0.0)
    for number, (other, what) in enumerate(rest, start=1):
        found.observe(other, what, float(number))
    return found


def test_of_several_control_bits_rst_decides_then_syn_then_fin():
    assert control_of(segment(TcpFlags.RST | TcpFlags.ACK)) is Control.RST
    assert control_of(segment(TcpFlags.SYN | TcpFlags.ACK)) is Control.SYN
    assert control_of(segment(TcpFlags.FIN | TcpFlags.ACK)) is Control.FIN
    assert control_of(segment(TcpFlags.PSH | TcpFlags.ACK)) is Control.NONE
    assert control_of(segment(TcpFlags.RST | TcpFlags.SYN | TcpFlags.FIN)) is Control.RST
    assert control_of(segment(TcpFlags.SYN | TcpFlags.FIN)) is Control.SYN
    assert control_of(None) is Control.NONE


def test_only_a_syn_that_acknowledges_nothing_asks_to_connect():
    assert asks_to_connect(segment(TcpFlags.SYN))
    for flags in (TcpFlags.SYN | TcpFlags.ACK, TcpFlags.ACK, TcpFlags.SYN | TcpFlags.RST):
        assert not asks_to_connect(segment(flags))
    assert not asks_to_connect(None)


@pytest.mark.parametrize(
    ("steps", "state", "expires"),
    [
        ([(IN, Control.SYN)], TcpState.INSIDE_SYN, 1.0),
        ([(OUT, Control.SYN)], TcpState.OUTSIDE_SYN, 1.0),
        ([(IN, Control.SYN), (IN, Control.SYN)], TcpState.INSIDE_SYN, 2.0),
        ([(IN, Control.SYN), (OUT, Control.SYN)], TcpState.ESTABLISHED, 101.0),
        ([(OUT, Control.SYN), (IN, Control.SYN)], TcpState.ESTABLISHED, 101.0),
        ([(IN, Control.SYN), (OUT, Control.RST)], TcpState.RESET, 6.0),
        ([(IN, Control.NONE)], TcpState.ESTABLISHED, 100.0),
        ([(IN, Control.NONE), (IN, Control.FIN)], TcpState.INSIDE_FIN, 101.0),
        ([(IN, Control.NONE), (OUT, Control.FIN), (IN, Control.NONE)], TcpState.OUTSIDE_FIN, 102.0),
        ([(IN, Control.NONE), (OUT, Control.FIN), (IN, Control.FIN)], TcpState.BOTH_FIN, 12.0),
        ([(IN, Control.NONE), (OUT, Control.RST)], TcpState.RESET, 6.0),
        ([(IN, Control.NONE), (OUT, Control.FIN), (IN, Control.RST)], TcpState.RESET, 7.0),
        ([(IN, Control.NONE), (OUT, Control.FIN), (OUT, Control.RST)], TcpState.RESET, 7.0),
        ([(IN, Control.NONE), (OUT, Control.RST), (IN, Control.SYN)], TcpState.INSIDE_SYN, 3.0),
        ([(IN, Control.NONE), (OUT, Control.RST), (OUT, Control.SYN)], TcpState.OUTSIDE_SYN, 3.0),
    ],
)
def test_a_connection_lives_as_long_as_its_phase_allows(steps, state, expires):
    found = session(*steps)
    assert (found.state, found.expires) == (state, expires)


def test_the_last_acknowledgement_of_an_orderly_end_does_not_keep_it_in_mind():
    ended = [(IN, Control.NONE), (OUT, Control.FIN), (IN, Control.FIN)]
    assert session(*ended, (OUT, Control.NONE)).expires == session(*ended).expires == 12.0


def test_another_rst_does_not_keep_it_in_mind():
    assert session((IN, Control.NONE), (OUT, Control.RST), (OUT, Control.RST)).expires == 6.0


@pytest.mark.parametrize("control", [Control.NONE, Control.FIN])
@pytest.mark.parametrize("side", Side)
def test_an_rst_that_the_ends_ignore_ends_nothing(side, control):
    found = session((IN, Control.NONE), (OUT, Control.RST), (side, control))
    assert (found.state, found.expires) == (TcpState.ESTABLISHED, 102.0)


@pytest.mark.parametrize("side", Side)
def test_the_same_port_may_connect_again_after_an_end(side):
    found = session((IN, Control.NONE), (OUT, Control.FIN), (IN, Control.FIN), (side, Control.SYN))
    assert found.state is (TcpState.INSIDE_SYN if side is IN else TcpState.OUTSIDE_SYN)


def test_every_state_can_be_left_and_reached():
    assert {state for state, _, _ in NAT_TCP_TRANSITIONS} == set(TcpState)
    assert set(NAT_TCP_TRANSITIONS.values()) | {TcpState.INSIDE_SYN, TcpState.OUTSIDE_SYN} == set(TcpState)


def test_both_sides_are_treated_alike():
    mirror = {IN: OUT, OUT: IN}
    states = {
        TcpState.INSIDE_SYN: TcpState.OUTSIDE_SYN,
        TcpState.OUTSIDE_SYN: TcpState.INSIDE_SYN,
        TcpState.INSIDE_FIN: TcpState.OUTSIDE_FIN,
        TcpState.OUTSIDE_FIN: TcpState.INSIDE_FIN,
    }
    for state, side, control in itertools.product(TcpState, Side, Control):
        after = NAT_TCP_TRANSITIONS.get((state, side, control))
        mirrored = NAT_TCP_TRANSITIONS.get((states.get(state, state), mirror[side], control))
        assert mirrored == (after and states.get(after, after))
