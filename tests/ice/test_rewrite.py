"""What is known of the outside of an address without asking anybody: 1:1 NATs."""

import pytest

from sansice.ice import CandidateType
from sansice.ice._gathering._rewrite import AS_IT_IS, Outside, RewriteMode, RewriteRule, outside_of

HOST, REFLEXIVE = CandidateType.HOST, CandidateType.SERVER_REFLEXIVE
INSIDE, OUTSIDE = "10.0.0.2", "203.0.113.7"


def test_address_without_a_rule_is_told_as_it_is():
    assert outside_of(INSIDE, "eth0", ()) is AS_IT_IS
    assert Outside(HOST, (), True) == AS_IT_IS


def test_host_rule_replaces_the_private_address_and_a_reflexive_one_adds_to_it():
    assert outside_of(INSIDE, "", [RewriteRule(OUTSIDE)]) == Outside(HOST, (OUTSIDE,), False)
    assert outside_of(INSIDE, "", [RewriteRule(OUTSIDE, type=REFLEXIVE)]) == Outside(REFLEXIVE, (OUTSIDE,), True)


def test_mode_overrides_what_the_type_would_do():
    appended = RewriteRule(OUTSIDE, mode=RewriteMode.APPEND)
    replaced = RewriteRule(OUTSIDE, type=REFLEXIVE, mode=RewriteMode.REPLACE)
    assert outside_of(INSIDE, "", [appended]) == Outside(HOST, (OUTSIDE,), True)
    assert outside_of(INSIDE, "", [replaced]) == Outside(REFLEXIVE, (OUTSIDE,), False)


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ({"local": INSIDE}, True),
        ({"local": "10.0.0.3"}, False),
        ({"network": "10.0.0.0/8"}, True),
        ({"network": "10.1.0.0/16"}, False),
        ({"network": "2001:db8::/32"}, False),
        ({"interface": "eth0"}, True),
        ({"interface": "wlan0"}, False),
        ({"network": "10.0.0.0/8", "interface": "wlan0"}, False),
    ],
)
def test_rule_is_about_an_address_a_network_or_an_interface(where, fits):
    told = outside_of(INSIDE, "eth0", [RewriteRule(OUTSIDE, **where)])
    assert told == (Outside(HOST, (OUTSIDE,), False) if fits else AS_IT_IS)


def test_first_rule_that_fits_decides():
    rules = [RewriteRule("203.0.113.1", interface="wlan0"), RewriteRule("203.0.113.2"), RewriteRule("203.0.113.3")]
    assert outside_of(INSIDE, "eth0", rules).hosts == ("203.0.113.2",)


def test_families_do_not_concern_each_other():
    rule = RewriteRule((OUTSIDE, "2001:DB8::7"))
    assert outside_of(INSIDE, "", [rule]).hosts == (OUTSIDE,)
    assert outside_of("fd00::2", "", [rule]).hosts == ("2001:db8::7",)
    assert outside_of("fd00::2", "", [RewriteRule(OUTSIDE)]) is AS_IT_IS


def test_address_that_is_its_own_outside_is_told_once():
    assert outside_of(OUTSIDE, "", [RewriteRule(OUTSIDE)]) == Outside(HOST, (), True)
    assert outside_of(OUTSIDE, "", [RewriteRule((OUTSIDE, "203.0.113.8"))]) == Outside(HOST, ("203.0.113.8",), True)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"external": ()}, "external"),
        ({"external": "example.org"}, "literal"),
        ({"external": OUTSIDE, "local": "10.1"}, "literal"),
        ({"external": OUTSIDE, "network": "10.0.0.1/8"}, "host bits"),
        ({"external": OUTSIDE, "type": CandidateType.RELAYED}, "type"),
    ],
)
def test_rules_that_mean_nothing_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        RewriteRule(**wrong)
