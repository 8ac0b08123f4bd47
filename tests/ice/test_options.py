"""What may be chosen about gathering, and what is refused."""

import pytest

from sansice.ice import GatheringOptions, RewriteRule
from sansice.stun import HttpProxy
from sansice.turn import TurnClientConfig


def test_nothing_is_chosen_by_default():
    options = GatheringOptions()
    assert not options.chooses_hosts
    assert (options.rewrite, options.port_range, options.relayed_family) == ((), None, "both")


@pytest.mark.parametrize("chosen", [{"accept": bool}, {"cost": len}, {"link_local": False}])
def test_what_is_said_about_addresses_chooses_among_them(chosen):
    assert GatheringOptions(**chosen).chooses_hosts


def test_rules_are_kept_in_order_and_a_range_may_be_any_pair():
    rules = [RewriteRule("203.0.113.1"), RewriteRule("203.0.113.2")]
    options = GatheringOptions(rewrite=iter(rules), port_range=[50000, 50009])
    assert options.rewrite == tuple(rules)
    assert options.port_range == (50000, 50009)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"port_range": (0, 10)}, "port_range"),
        ({"port_range": (10, 9)}, "port_range"),
        ({"port_range": (10, 65536)}, "port_range"),
        ({"port_range": (1, 2, 3)}, "unpack"),
        ({"relayed_family": 5}, "relayed_family"),
        ({"max_relays": 0}, "max_relays"),
        ({"answering_timeout": -1.0}, "answering_timeout"),
        ({"answering_timeout": float("inf")}, "answering_timeout"),
        ({"answering_timeout": float("nan")}, "answering_timeout"),
    ],
)
def test_values_that_mean_nothing_are_refused_by_name(wrong, words):
    with pytest.raises(ValueError, match=words):
        GatheringOptions(**wrong)


def test_a_proxy_is_said_once_and_its_text_is_read():
    assert GatheringOptions(proxy="http://u:p@10.1.0.10:80").proxy == HttpProxy("10.1.0.10", 80, "u", "p")
    with pytest.raises(ValueError, match="a proxy is written"):
        GatheringOptions(proxy="10.1.0.10:80")
    with pytest.raises(ValueError, match="said by proxy="):
        GatheringOptions(turn=TurnClientConfig(proxy="http://10.1.0.10"))
    assert "secret" not in repr(GatheringOptions(proxy="http://u:secret@10.1.0.10"))
