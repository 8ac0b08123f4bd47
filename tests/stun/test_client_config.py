import math

import pytest

from sansice.stun import Schedule, StunClientConfig


def test_by_default_nothing_is_told_and_nothing_optional_is_done():
    config = StunClientConfig()
    assert (config.software, config.fingerprint, config.alternate_servers, config.classic, config.anycast) == (None,) + (
        False,
    ) * 4
    assert config.schedule == Schedule()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"classic": True, "fingerprint": True}, "no fingerprint"),
        ({"classic": True, "software": "x"}, "no attributes"),
        ({"software": "x" * 128}, "128 characters"),
        ({"mtu": 199}, "200..65535"),
        ({"mtu": 65536}, "200..65535"),
        ({"max_outstanding": 0}, "at least"),
        ({"max_queued": 0}, "at least"),
        ({"resends": -1}, "at least"),
        ({"least_rto": 0.0}, "least_rto"),
        ({"resend_delay": math.inf}, "resend_delay"),
        ({"open_timeout": math.nan}, "open_timeout"),
    ],
)
def test_what_makes_no_sense_is_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        StunClientConfig(**options)


def test_the_least_and_the_most_are_allowed():
    assert StunClientConfig(mtu=200, max_outstanding=1, max_queued=1, resends=0).mtu == 200
    assert StunClientConfig(mtu=65535).mtu == 65535
