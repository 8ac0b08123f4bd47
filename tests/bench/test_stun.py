"""The benchmark's own tools: the load that they put on, and the processor time that they read."""

import os
import time

import pytest

from bench import _stun


def test_processor_time_of_a_process_is_what_the_process_itself_reads():
    before, reading = time.process_time(), _stun.processor_seconds(os.getpid())
    assert before <= reading <= time.process_time()


@pytest.mark.parametrize("arguments", [(), ("--unlimited",)])
def test_every_request_of_a_load_that_waits_is_answered(arguments):
    with _stun.ours(*arguments) as server:
        assert _stun.load(server, "steady", 640) == {"sent": 640, "answered": 640}
        assert _stun.load(server, "alone", 10) == {"sent": 10, "answered": 10}
        assert _stun.cost(server, 640) > 0


def test_a_flood_sends_without_waiting():
    with _stun.ours("--unlimited") as server:
        figures = _stun.load(server, "flood", 0.05)
    assert 0 < figures["answered"] <= figures["sent"]
