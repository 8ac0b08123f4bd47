"""Rules of firewalls as values."""

import pytest

from sansice.simulation import Direction, Filtering, FirewallKind, Rule, Verdict
from sansice.simulation._nat._tcp_states import Side
from simulation._wires import INNER, SERVER, STRANGER, tcp, udp

OUT, IN = udp(INNER, SERVER), udp(SERVER, INNER)


def test_the_default_lets_everything_out_and_nothing_in():
    kind = FirewallKind()
    assert kind.verdict(OUT, Side.INSIDE) is Verdict.ALLOW
    assert kind.verdict(IN, Side.OUTSIDE) is Verdict.DROP


def test_the_first_rule_that_matches_decides():
    kind = FirewallKind(rules=[Rule("drop", ports=[1]), Rule("reset", "udp"), Rule("drop")], outbound="unreachable")
    assert kind.verdict(udp(INNER, (SERVER.host, 1)), Side.INSIDE) is Verdict.DROP
    assert kind.verdict(udp(INNER, (SERVER.host, 2)), Side.INSIDE) is Verdict.RESET
    assert FirewallKind(outbound="unreachable").verdict(OUT, Side.INSIDE) is Verdict.UNREACHABLE


@pytest.mark.parametrize(
    ("rule", "out", "into"),
    [
        (Rule("drop"), True, True),
        (Rule("drop", "udp"), True, True),
        (Rule("drop", "tcp"), False, False),
        (Rule("drop", direction="out"), True, False),
        (Rule("drop", direction=Direction.IN), False, True),
        (Rule("drop", ports=[SERVER.port]), True, False),
        (Rule("drop", ports=[(4000, 6000), 7]), False, True),
        (Rule("drop", inside="10.0.0.0/8"), True, True),
        (Rule("drop", outside="10.0.0.0/8"), False, False),
        (Rule("drop", outside=SERVER.host), True, True),
        (Rule("drop", outside=STRANGER.host), False, False),
        (Rule("drop", outside="2001:db8::/32"), False, False),
    ],
)
def test_a_rule_matches_what_it_names(rule, out, into):
    assert rule.matches(OUT, Side.INSIDE) is out
    assert rule.matches(IN, Side.OUTSIDE) is into


def test_a_rule_of_udp_is_none_of_tcp():
    assert not Rule("drop", "udp").matches(tcp(INNER, SERVER), Side.INSIDE)
    assert Rule("drop", "tcp").matches(tcp(INNER, SERVER), Side.INSIDE)


def test_words_become_values():
    kind = FirewallKind(filtering="endpoint-independent", fragments="drop")
    assert kind.filtering is Filtering.ENDPOINT_INDEPENDENT
    assert Rule("allow", ports=[1, (2, 3)]).ports == ((1, 1), (2, 3))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"verdict": "maybe"}, "'maybe' is not a valid Verdict"),
        ({"protocol": "icmp"}, 'protocol must be "udp", "tcp" or None for both, not \'icmp\''),
        ({"direction": "up"}, "'up' is not a valid Direction"),
        ({"ports": [70000]}, r"ports: 70000\.\.70000 is no range of ports"),
        ({"ports": [(9, 8)]}, r"ports: 9\.\.8 is no range of ports"),
        ({"outside": "example.org"}, "'example.org' does not appear to be an IPv4 or IPv6 network"),
        ({"inside": "10.0.0.1/8"}, "has host bits set"),
    ],
)
def test_a_rule_that_says_nothing_is_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        Rule(**{"verdict": "drop"} | options)


@pytest.mark.parametrize("lifetime", [0.0, -3.0])
def test_flows_live_for_some_time(lifetime):
    with pytest.raises(ValueError, match="lifetime must be more than 0 seconds"):
        FirewallKind(lifetime=lifetime)
