"""Sockets that are members of a multicast group: they hear the group on their link, and nothing else."""

import errno
import select
import socket

import pytest

from sansice import Address, OpenSocket, SocketErrorKind, SocketId, SocketOptions, Transport
from sansice.sockets import _multicast, _options, check_supported, socket_error
from sansice.sockets._udp import UdpSocket
from sockets._bare import PATIENCE, Bare

GROUP4, GROUP6 = "224.0.0.251", "ff02::fb"


def member(host="127.0.0.1", port=0, group=GROUP4, interface="lo"):
    options = SocketOptions(multicast_groups=(group,), reuse_port=True, interface=interface)
    return UdpSocket.open(SocketId(1), Address(host, port), options, None)


def heard(sock):
    readable, _, _ = select.select([sock], [], [], PATIENCE)
    assert readable, "nothing came"
    return sock.read()


@pytest.mark.parametrize(("host", "interface"), [("127.0.0.1", None), ("127.0.0.1", "lo")])
def test_all_members_hear_what_is_sent_to_the_group_and_whence(host, interface):
    with member(host, interface=interface) as one:
        port = one.getsockname()[1]
        with member(host, port, interface=interface) as two:
            one.transmit(Address(GROUP4, port), b"who?")
            for sock in (one, two):
                assert heard(sock) == [(Address(host, port), b"who?")]


@pytest.mark.parametrize(("host", "interface"), [("::1", "lo"), ("fe80::1%lo", None)])
def test_over_ipv6_a_link_is_named_by_its_interface_or_by_the_zone(host, interface):
    with member(host, group=GROUP6, interface=interface) as sock:
        group, _, _, scope = sock.getsockname()
        assert (group.partition("%")[0], scope) == (GROUP6, socket.if_nametoindex("lo"))


def test_unicast_is_left_to_who_has_the_address():
    with member() as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        port = one.getsockname()[1]
        other.bind(("127.0.0.1", port))
        one.transmit(Address("127.0.0.1", port), b"you")
        one.transmit(Address(GROUP4, port), b"all")
        assert other.recv(9) == b"you"
        assert heard(one) == [(Address("127.0.0.1", port), b"all")]


def test_what_is_multicast_has_the_hops_that_prove_that_it_is_from_here():
    with member() as four, member("::1", group=GROUP6) as six:
        assert four.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 255
        assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS) == 255


def test_what_is_multicast_leaves_by_the_link_and_the_port_is_shared_with_every_program():
    with member() as four, member("::1", group=GROUP6) as six:
        assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF) == socket.if_nametoindex("lo")
        assert [one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) for one in (four, six)] == [1, 1]


@pytest.mark.parametrize(("platform", "shared"), [("linux", 0), ("darwin", 1)])
def test_members_share_their_port_in_the_way_in_which_each_hears_its_link(monkeypatch, platform, shared):
    monkeypatch.setattr(_options.sys, "platform", platform)
    with member() as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == shared


def test_groups_of_other_sockets_are_not_heard():
    with member() as four, member("::1", group=GROUP6) as six:
        assert four.getsockopt(socket.IPPROTO_IP, 49) == 0  # IP_MULTICAST_ALL
        assert six.getsockopt(socket.IPPROTO_IPV6, 29) == 0  # IPV6_MULTICAST_ALL


def test_where_there_is_no_such_option_nothing_is_set(monkeypatch):
    monkeypatch.setattr(_multicast, "_LINUX", False)
    with member() as four, member("::1", group=GROUP6) as six:
        assert four.getsockopt(socket.IPPROTO_IP, 49) == six.getsockopt(socket.IPPROTO_IPV6, 29) == 1


@pytest.mark.parametrize(
    ("host", "groups", "interface", "kind"),
    [
        ("127.0.0.1", (GROUP4, "224.0.0.252"), "lo", SocketErrorKind.UNSUPPORTED),
        ("127.0.0.1", (GROUP6,), "lo", SocketErrorKind.OTHER),
        ("127.0.0.1", ("192.0.2.1",), "lo", SocketErrorKind.OTHER),
        ("::1", (GROUP6,), None, SocketErrorKind.OTHER),
        ("127.0.0.1", (GROUP4,), "nowhere0", SocketErrorKind.OTHER),
        ("192.0.2.77", (GROUP4,), None, SocketErrorKind.ADDRESS_UNAVAILABLE),
    ],
    ids=["two groups", "other family", "no group", "no interface", "unknown interface", "not ours"],
)
def test_what_cannot_be_joined_is_refused_and_leaves_nothing_open(host, groups, interface, kind):
    options = SocketOptions(multicast_groups=groups, reuse_port=True, interface=interface)
    with pytest.raises(OSError) as caught:  # noqa: PT011  the kind of it is looked at
        UdpSocket.open(SocketId(1), Address(host, 0), options, None)
    assert socket_error(caught.value).kind is kind


@pytest.mark.parametrize(("transport", "remote"), [(Transport.TCP, None), (Transport.UDP, Address("127.0.0.1", 9))])
def test_only_a_udp_socket_without_a_remote_is_a_member(transport, remote):
    options = SocketOptions(multicast_groups=(GROUP4,))
    with pytest.raises(OSError, match="member of a multicast group") as caught:
        check_supported(OpenSocket(SocketId(1), transport, Address("127.0.0.1", 0), remote, options))
    assert caught.value.errno == errno.ENOTSUP


def test_the_machine_is_told_the_address_and_not_the_group():
    bare = Bare()
    options = SocketOptions(multicast_groups=(GROUP4,), reuse_port=True)
    bare.sockets.open(OpenSocket(SocketId(1), Transport.UDP, Address("127.0.0.1", 0), options=options), bare.driver)
    ((word, socket_id, local),) = bare.machine.heard
    bare.sockets.close_all()
    assert (word, socket_id, local.host) == ("opened", 1, "127.0.0.1") and local.port
