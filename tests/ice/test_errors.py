"""What adapters raise is one family, told apart by what the caller can do about it."""

import pytest

from sansice.ice import ConsentLost, IceClosed, IceError, IceFailed, NotConnected, WouldBlock
from sansice.machine import LocalProtocolError


@pytest.mark.parametrize("error", [IceFailed, NotConnected, IceClosed, ConsentLost, WouldBlock])
def test_every_error_of_a_connection_is_an_ice_error(error):
    assert issubclass(error, IceError)


def test_lost_consent_is_caught_as_closed():
    assert issubclass(ConsentLost, IceClosed)


def test_sending_too_early_is_the_callers_mistake():
    assert issubclass(NotConnected, LocalProtocolError)
    assert not issubclass(IceClosed, LocalProtocolError)


def test_failure_carries_the_explanation():
    error = IceFailed("nobody answered")
    assert error.explanation == str(error) == "nobody answered"
