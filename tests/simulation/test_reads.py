"""How a program reads its streams, as a value; what it does is tried in test_streams.py."""

import math

import pytest

from sansice.simulation import StreamReads


@pytest.mark.parametrize("wrong", [{"size": -1}, {"delay": -0.1}, {"jitter": math.inf}, {"delay": math.nan}])
def test_reads_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StreamReads(**wrong)


def test_without_wishes_everything_is_read_at_once():
    assert StreamReads() == StreamReads(size=0, random=False, delay=0.0, jitter=0.0)
