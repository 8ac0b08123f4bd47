"""What the system can do with many datagrams: found out by trying, and told once."""

import socket

import pytest

from sansice.sockets import Batching, _batching, batching
from sansice.sockets._batching import receiver, sender


@pytest.fixture(autouse=True)
def _afresh(monkeypatch):
    """Nothing has been tried yet, and nothing is remembered of this test."""
    monkeypatch.setattr(_batching, "_of_thread", _batching._OfThread())
    batching.cache_clear()
    yield
    batching.cache_clear()


@pytest.mark.skipif(not hasattr(socket, "MSG_ERRQUEUE"), reason="elsewhere it is known without trying")
def test_linux_has_it_all():
    assert batching() == Batching(many=True, segmentation=True)
    assert str(batching()) == "recvmmsg, sendmmsg, UDP_SEGMENT"
    assert batching() is batching()


def test_elsewhere_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(_batching.sys, "platform", "darwin")
    assert batching() == Batching(False, False, ("datagrams are sent and read one by one: only Linux has calls for many",))
    assert str(batching()) == "datagrams are sent and read one by one: only Linux has calls for many"
    assert receiver(False) is None
    assert sender(True) is None


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda patch: patch.setattr("sansice.sockets._mmsg.why_not", lambda: "the C library has no recvmmsg"), "the C library"),
        (lambda patch: patch.setattr("sansice.sockets._mmsg.Sender.send", lambda self, fd, items: 0), "a sandbox may refuse"),
        (lambda patch: patch.setattr("sansice.sockets._mmsg.Receiver.receive", lambda self, fd, most: []), "a sandbox may"),
        (lambda patch: patch.setattr(_batching, "LOOPBACK", "192.0.2.1"), "could not be tried on 192.0.2.1"),
    ],
)
def test_calls_that_do_not_work_are_not_used_and_it_says_why(monkeypatch, break_it, reason):
    break_it(monkeypatch)
    found = batching()
    assert (found.many, found.segmentation) == (False, True)
    assert reason in found.reasons[0]
    assert str(found) == f"UDP_SEGMENT; {found.reasons[0]}"
    assert receiver(False) is None


def test_a_system_that_does_not_cut_datagrams_says_so(monkeypatch):
    monkeypatch.setattr(_batching, "UDP_SEGMENT", 9999)
    found = batching()
    assert (found.many, found.segmentation) == (True, False)
    assert found.reasons == ("no UDP_SEGMENT: ENOPROTOOPT; it came with Linux 4.18",)
