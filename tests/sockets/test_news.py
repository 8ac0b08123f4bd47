"""What Linux tells of a machine that moves or has slept."""

import ctypes
import errno
import os
import select
import socket

import pytest

from sansice.sockets import _news
from sansice.sockets._news import News, open_netlink, open_news, open_wakings


def test_netlink_is_one_socket_that_closes():
    source = open_netlink()
    assert source is not None
    assert source.getsockname()[1] == 0x111  # of links, and of the addresses of both families
    with source, pytest.raises(BlockingIOError):
        source.recv(1)


class Refusing:
    """A socket that the sandbox does not let listen to the kernel."""

    closed = False

    def __init__(self, *arguments):
        pass

    def bind(self, address):
        raise PermissionError

    def close(self):
        type(self).closed = True


def refuse(*arguments):
    raise PermissionError


def test_a_system_without_netlink_or_that_refuses_it_is_looked_at(monkeypatch):
    monkeypatch.setattr(socket, "socket", Refusing)
    assert open_netlink() is None and Refusing.closed
    monkeypatch.setattr(socket, "socket", refuse)
    assert open_netlink() is None
    monkeypatch.delattr(socket, "AF_NETLINK")
    assert open_netlink() is None


# ------------------------------------------------------------- both


def is_readable(source):
    poll = select.poll()
    poll.register(source.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@pytest.fixture
def ends():
    """What stands for netlink, its other end, and both ends of what stands for a timer."""
    netlink = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    timer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    yield *netlink, *timer
    netlink[1].close()
    os.close(timer[1])


def test_news_of_either_kind_is_readable_and_read_until_there_is_none(ends):
    netlink, kernel, timer, clock = ends
    news = News(netlink, timer)
    for tell in (lambda: kernel.send(b"link"), lambda: os.write(clock, bytes(8))):
        assert not is_readable(news)
        tell()
        assert is_readable(news)
        news.recv(65536)
        assert not is_readable(news)
        with pytest.raises(BlockingIOError):
            news.recv(65536)
    news.close()
    assert netlink.fileno() < 0
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(timer)


@pytest.mark.parametrize("error", [errno.ECANCELED, errno.EIO])
def test_a_wall_clock_that_is_set_is_news_and_another_error_is_one(ends, monkeypatch, error):
    netlink, _, timer, _ = ends

    def read(fd, size):
        raise OSError(error, os.strerror(error))

    news = News(netlink, timer)
    monkeypatch.setattr(_news.os, "read", read)
    if error == errno.ECANCELED:
        assert news.recv(65536) == b""
    else:
        with pytest.raises(OSError, match=os.strerror(error)):
            news.recv(65536)
    monkeypatch.undo()
    news.close()


def test_a_timer_that_watches_the_wall_clock_is_silent_while_that_goes_on():
    timer = open_wakings()
    assert timer is not None
    with pytest.raises(BlockingIOError):
        os.read(timer, 8)
    assert not os.get_inheritable(timer)
    with open(f"/proc/self/fdinfo/{timer}") as info:
        told = dict(line.split(":", 1) for line in info)
    assert (int(told["clockid"]), int(told["settime flags"], 8)) == (
        0,
        3,
    )  # CLOCK_REALTIME; absolute, and cancelled when it is set
    os.close(timer)


class Library:
    """A C library on a system that refuses."""

    def __init__(self, *arguments, **options):
        pass

    def timerfd_create(self, *arguments):
        return -1


class OldLibrary:
    def __init__(self, *arguments, **options):
        pass


@pytest.mark.parametrize("library", [Library, OldLibrary])
def test_where_there_is_no_such_timer_netlink_is_all_the_news(monkeypatch, library):
    monkeypatch.setattr(ctypes, "CDLL", library)
    assert open_wakings() is None
    source = open_news()
    assert isinstance(source, socket.socket)
    source.close()


def test_where_there_is_no_netlink_there_is_no_news():
    assert open_news(netlink=lambda: None) is None


def test_where_there_is_both_one_descriptor_is_waited_for():
    news = open_news()
    assert isinstance(news, News) and not is_readable(news)
    news.close()
