import math

import pytest

from sansice.stun import StunClientConfig
from sansice.turn import TurnClientConfig


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stun": StunClientConfig(classic=True)}, "RFC 3489"),
        ({"stun": StunClientConfig(anycast=True)}, "anycast"),
        ({"families": ()}, "families"),
        ({"families": (4, 4)}, "families"),
        ({"understood": (5,)}, "understood"),
        ({"attempt_delay": 0}, "attempt_delay"),
        ({"transport_delay": math.inf}, "transport_delay"),
        ({"reopen_delay": 0}, "reopen_delay"),
        ({"allocate_timeout": -1}, "allocate_timeout"),
        ({"close_timeout": math.nan}, "close_timeout"),
        ({"retry_delay": 0}, "retry_delay"),
        ({"keepalive": 0.5}, "keepalive"),
        ({"keepalive": math.nan}, "keepalive"),
        ({"max_permissions": 0}, "max_permissions"),
        ({"max_batch": 0}, "max_batch"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"max_waiting": 0}, "max_waiting"),
        ({"max_waiting_bytes": 0}, "max_waiting_bytes"),
        ({"max_unsent": 0}, "max_unsent"),
        ({"max_channels": 0}, "max_channels"),
        ({"max_channels": 4097}, "max_channels"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(options, words):
    with pytest.raises(ValueError, match=words):
        TurnClientConfig(**options)


@pytest.mark.req("RFC8656-010")
def test_turn_is_never_spoken_with_rfc_3489_servers():
    with pytest.raises(ValueError, match="RFC 8656 5"):
        TurnClientConfig(stun=StunClientConfig(classic=True))


@pytest.mark.req("RFC8656-056")
def test_the_defaults_are_legal_and_alternates_are_followed():
    config = TurnClientConfig()
    assert config.stun.alternate_servers
    assert TurnClientConfig(keepalive=math.inf).max_channels == 4096
