import os
import signal

import pytest

from sansice_cli._ended import EndedBySignalError
from sansice_cli.simulate._interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_block_and_afterwards_all_is_as_before(number):
    before = signal.getsignal(number)
    with pytest.raises(EndedBySignalError) as error, Interrupts():
        os.kill(os.getpid(), number)
    assert error.value.number is number
    assert signal.getsignal(number) is before


def test_gently_the_first_signal_is_noted_and_the_second_one_ends_the_block():
    with Interrupts(gently=True) as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.caught is signal.SIGINT
        with pytest.raises(EndedBySignalError):
            os.kill(os.getpid(), signal.SIGTERM)
