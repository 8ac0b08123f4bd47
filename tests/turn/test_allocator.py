"""Allocate requests from their arrival to their answer: sockets, quotas, reservations, redirection (RFC 8656 7.2)."""

import itertools
import math

import pytest

from _turn_serving import (
    CLIENT,
    HOST,
    HOST6,
    LISTENERS,
    PEER,
    START,
    TCP,
    UDP_RELAY,
    USERS,
    TurnServing,
    closed,
    code_of,
    told,
)
from sansice.machine import Address, OpenSocket, SendDatagram, SocketError, SocketErrorKind, SocketId, Transport
from sansice.stun import (
    ADDITIONAL_ADDRESS_FAMILY,
    ADDRESS_ERROR_CODE,
    ALTERNATE_SERVER,
    EVEN_PORT,
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    RESERVATION_TOKEN,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Listener,
    MessageClass,
    Method,
    StunServerConfig,
    TransactionId,
    decode_untrusted,
    encode,
)
from sansice.turn import AllocationClosed, AllocationOpened, CloseReason, ResourcesExhausted, TurnLimits

ALLOCATE, REFRESH = Method.ALLOCATE, Method.REFRESH
ID = TransactionId(b"first try..."[:12])
PAIR = (EVEN_PORT, True)
EVEN = (EVEN_PORT, False)
DUAL = (ADDITIONAL_ADDRESS_FAMILY, 2)
IN_USE, EXHAUSTED = SocketErrorKind.ADDRESS_IN_USE, SocketErrorKind.NO_RESOURCES
OTHER_CLIENT = Address("192.0.2.1", 40000)


def one_port(**policy):
    """A server with room for one relayed address."""
    return TurnServing(policy={"relay_ports": (50000, 50000), **policy})


class TestOneAllocation:
    def test_it_is_told_when_its_socket_is_open_and_not_before(self):
        serving = TurnServing()
        user = serving.client()
        user.request(ALLOCATE)  # has a nonce now
        serving.holding = True
        (asked,) = user.send(user.request(ALLOCATE, UDP_RELAY))
        assert (type(asked), asked.transport, asked.bind.host) == (OpenSocket, Transport.UDP, HOST)
        assert not asked.options.reuse_port  # nobody else gets what is for this client
        serving.open(asked)
        opened, answer = serving.take()
        assert opened == AllocationOpened(1, "alice", opened.client, 17, (asked.bind,), 600)
        assert (opened.client.remote, opened.client.socket) == (CLIENT, user.socket)
        assert decode_untrusted(answer.data).get(XOR_RELAYED_ADDRESS) == asked.bind

    @pytest.mark.req("RFC8656-025")
    def test_nobody_without_credentials_gets_one_and_nothing_is_kept_of_it(self):
        serving = TurnServing()
        outputs = serving.client().send(encode(ALLOCATE, MessageClass.REQUEST, ID, [UDP_RELAY]))
        assert [type(output) for output in outputs] == [SendDatagram]
        assert code_of(decode_untrusted(outputs[0].data)) == 401
        assert serving.allocations() == ()
        assert list(serving.opened) == list(range(1, len(LISTENERS) + 1))

    @pytest.mark.req("RFC8656-012")
    def test_the_same_request_again_gets_the_same_answer_and_no_second_allocation(self):
        serving = TurnServing()
        user = serving.client()
        request = user.request(ALLOCATE, UDP_RELAY, PAIR, id=ID)
        first = user.answer(request)
        assert user.answer(request).data == first.data
        assert len(serving.allocations()) == 1

    @pytest.mark.req("RFC8656-012")
    def test_a_late_repetition_is_told_the_lifetime_that_is_left(self):
        serving = TurnServing()
        user = serving.client()
        request = user.request(ALLOCATE, UDP_RELAY, id=ID)
        user.answer(request)
        serving.at(serving.now + 39.5)
        assert user.answer(request).get(LIFETIME) == 560

    @pytest.mark.req("RFC8656-012")
    def test_a_dual_answer_is_repeated_with_the_family_that_failed(self):
        serving = TurnServing([LISTENERS[0]])
        user = serving.client()
        request = user.request(ALLOCATE, UDP_RELAY, DUAL, id=ID)
        assert user.answer(request).data == user.answer(request).data
        assert ADDRESS_ERROR_CODE in user.answer(request)

    def test_a_repetition_while_the_socket_opens_is_absorbed(self):
        serving = TurnServing()
        user = serving.client()
        request = user.request(ALLOCATE, UDP_RELAY, id=ID)
        serving.holding = True
        (asked,) = user.send(request)
        assert user.send(request) == []
        serving.open(asked)
        assert len(user.answers(serving.take())) == 1

    @pytest.mark.req("RFC8656-026")
    def test_another_allocate_on_the_same_5_tuple_is_a_mismatch(self):
        user = TurnServing().client()
        user.allocate()
        assert user.code(ALLOCATE, UDP_RELAY) == 437

    @pytest.mark.req("RFC8656-026")
    def test_so_is_another_one_while_the_first_is_on_its_way(self):
        serving = TurnServing()
        user = serving.client()
        first, second = user.request(ALLOCATE, UDP_RELAY), user.request(ALLOCATE, UDP_RELAY)
        serving.holding = True
        user.send(first)
        assert code_of(user.answer(second)) == 437

    @pytest.mark.req("RFC8656-026")
    def test_a_mismatch_comes_before_everything_else_that_is_wrong(self):
        user = TurnServing().client()
        user.allocate()
        assert user.code(ALLOCATE) == 437

    @pytest.mark.req("RFC8656-012")
    def test_another_users_request_with_the_same_id_is_no_repetition(self):
        serving = TurnServing()
        serving.client().allocate(id=ID)
        assert serving.client(user="bob").code(ALLOCATE, UDP_RELAY, id=ID) == 437

    def test_a_client_over_another_transport_from_the_same_address_is_another_one(self):
        serving = TurnServing()
        serving.client().allocate()
        serving.stream().allocate()
        assert len(serving.allocations()) == 2

    @pytest.mark.req("RFC8656-014")
    def test_relayed_addresses_are_all_different(self):
        serving = TurnServing(policy={"relay_ports": (50000, 50031)})
        relayed = set()
        for port in range(32):
            user = serving.client(Address("192.0.2.1", 1000 + port))
            user.allocate()
            relayed.update(user.relayed)
        assert len(relayed) == 32
        assert serving.client().code(ALLOCATE, UDP_RELAY) == 508

    def test_it_is_at_the_host_by_which_the_client_knows_the_server(self):
        hosts = (HOST, "198.51.100.2")
        serving = TurnServing([Listener(Transport.UDP, Address(host, 3478)) for host in hosts])
        for number, host in enumerate(hosts * 8):
            user = serving.client(Address("192.0.2.1", 1000 + number), socket=SocketId(1 + hosts.index(host)))
            user.allocate()
            assert user.relayed[0].host == host

    @pytest.mark.req("RFC8656-041")
    def test_ports_are_dynamic_ones_and_unpredictable(self):
        serving = TurnServing()
        ports = []
        for port in range(50):
            user = serving.client(Address("192.0.2.1", 1000 + port))
            user.allocate()
            ports.append(user.relayed[0].port)
        assert all(49152 <= port <= 65535 for port in ports)
        steps = {after - before for before, after in itertools.pairwise(ports)}
        assert len(steps) > 40

    def test_the_address_is_at_the_host_by_which_the_client_knows_the_server(self):
        other = "198.51.100.2"
        listeners = [LISTENERS[0], LISTENERS[0].__class__(Transport.UDP, Address(other, 3478))]
        serving = TurnServing(listeners)
        users = [serving.client(), serving.client(socket=SocketId(2))]
        for user in users:
            user.allocate()
        assert [user.relayed[0].host for user in users] == [HOST, other]

    @pytest.mark.req("RFC8656-118")
    @pytest.mark.parametrize("host", ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "2002:c000:204::1"])
    def test_a_client_behind_a_tunnel_gets_none(self, host):
        user = TurnServing().client(Address(host, 5), socket=SocketId(2))
        assert user.code(ALLOCATE, UDP_RELAY) == 403


class TestSockets:
    def test_a_port_that_somebody_else_has_is_not_the_end(self):
        serving = TurnServing(policy={"relay_ports": (50000, 50001)})
        serving.refused[Address(HOST, 50000)] = IN_USE
        user = serving.client()
        user.allocate()
        assert user.relayed == (Address(HOST, 50001),)

    def test_only_so_many_ports_are_tried(self):
        serving = TurnServing(policy={"open_attempts": 3})
        serving.refused = {Address(HOST, port): IN_USE for port in range(49152, 65536)}
        assert serving.client().code(ALLOCATE, UDP_RELAY) == 508
        assert len(serving.opened) == len(LISTENERS) + 3
        assert serving.allocations() == ()

    @pytest.mark.req("RFC8656-032")
    def test_ports_that_are_all_taken_are_a_matter_of_capacity(self):
        serving = one_port()
        serving.client().allocate()
        other = serving.client(OTHER_CLIENT)
        assert other.code(ALLOCATE, UDP_RELAY) == 508
        assert other.code(ALLOCATE, UDP_RELAY, PAIR) == 508
        (info,) = serving.allocations()
        serving.call(serving.server.close_allocation, info.id)
        assert other.code(ALLOCATE, UDP_RELAY) == 0

    def test_another_port_is_no_help_against_an_address_that_is_gone(self):
        serving = TurnServing()
        serving.refused = {Address(HOST, port): SocketErrorKind.ADDRESS_UNAVAILABLE for port in range(49152, 65536)}
        assert serving.client().code(ALLOCATE, UDP_RELAY) == 508
        assert len(serving.opened) == len(LISTENERS) + 1

    @pytest.mark.req("RFC8656-034")
    def test_half_of_a_dual_request_is_granted_where_the_other_half_cannot_be(self):
        serving = TurnServing()
        serving.refused = {Address(HOST6, port): SocketErrorKind.ADDRESS_UNAVAILABLE for port in range(49152, 65536)}
        answer = serving.client().allocate(DUAL)
        assert [relayed.host for relayed in answer.get_all(XOR_RELAYED_ADDRESS)] == [HOST]
        failed = answer.get(ADDRESS_ERROR_CODE)
        assert (failed.family, failed.code) == (2, 508)

    @pytest.mark.req("RFC8656-033")
    def test_a_dual_request_for_which_there_is_nothing_is_a_matter_of_capacity(self):
        serving = TurnServing()
        serving.refused = {Address(host, port): IN_USE for host in (HOST, HOST6) for port in range(49152, 65536)}
        assert serving.client().code(ALLOCATE, UDP_RELAY, DUAL) == 508

    def test_the_system_without_sockets_is_told_about_once_a_minute_and_those_who_are_here_are_served(self):
        serving = TurnServing()
        honest = serving.client()
        honest.allocate()
        honest.permit(PEER)
        serving.refused = {Address(HOST, port): EXHAUSTED for port in range(49152, 65536)}
        stranger = serving.client(OTHER_CLIENT, user="bob")
        stranger.request(ALLOCATE)
        events = []
        for _ in range(3):
            outputs = stranger.send(stranger.request(ALLOCATE, UDP_RELAY))
            events += told(outputs)
            assert code_of(decode_untrusted(stranger.answers(outputs)[0])) == 508
        assert events == [ResourcesExhausted("refused", 1)]
        serving.at(serving.now + 60)
        assert told(stranger.send(stranger.request(ALLOCATE, UDP_RELAY))) == [ResourcesExhausted("refused", 3)]
        assert len(honest.hear(PEER, b"still there")) == 1
        serving.refused.clear()
        assert stranger.code(ALLOCATE, UDP_RELAY) == 0

    def test_an_answer_that_comes_too_late_leaves_nothing_behind(self):
        serving = TurnServing()
        user = serving.client()
        request = user.request(ALLOCATE, UDP_RELAY)
        serving.holding = True
        (asked,) = user.send(request)
        ((_, refusal),) = serving.at(serving.now + 5)
        assert code_of(decode_untrusted(refusal.data)) == 500
        serving.open(asked)
        assert closed(serving.take()) == [asked.socket]
        assert serving.allocations() == ()

    def test_a_client_whose_stream_ends_meanwhile_leaves_nothing_behind(self):
        serving = TurnServing()
        user = serving.stream()
        request = user.request(ALLOCATE, UDP_RELAY)
        serving.holding = True
        (asked,) = user.send(request)
        serving.server.handle_socket_failed(user.socket, SocketError(SocketErrorKind.RESET), now=serving.now)
        assert closed(serving.take()) == [asked.socket]
        serving.open(asked)
        assert told(serving.take()) == []
        assert serving.allocations() == ()

    def test_a_socket_that_dies_while_the_other_family_opens_is_replaced(self):
        serving = TurnServing()
        user = serving.client()
        request = user.request(ALLOCATE, UDP_RELAY, DUAL)
        serving.holding = True
        first, second = user.send(request)
        serving.open(first)
        serving.server.handle_socket_failed(first.socket, SocketError(IN_USE), now=serving.now)
        (third,) = serving.take()
        assert third.bind.host == HOST
        serving.open(second)
        serving.open(third)
        answer = decode_untrusted(user.answers(serving.take())[0])
        assert set(answer.get_all(XOR_RELAYED_ADDRESS)) == {second.bind, third.bind}


class TestEvenPorts:
    @pytest.mark.req("RFC8656-038")
    def test_an_even_port_is_even(self):
        serving = TurnServing()
        for port in range(20):
            user = serving.client(Address("192.0.2.1", 1000 + port))
            answer = user.allocate(EVEN)
            assert user.relayed[0].port % 2 == 0
            assert RESERVATION_TOKEN not in answer

    @pytest.mark.req("RFC8656-039", "RFC8656-044")
    def test_the_port_above_is_held_open_until_its_token_comes(self):
        serving = TurnServing()
        user = serving.client()
        token = user.allocate(PAIR).get(RESERVATION_TOKEN)
        base = user.relayed[0].port
        assert base % 2 == 0
        assert {asked.bind.port for asked in serving.opened.values()} >= {base, base + 1}
        serving.at(serving.now + 29)
        other = serving.client(OTHER_CLIENT)
        before = len(serving.opened)
        answer = other.ask(ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, token))
        assert answer.get(XOR_RELAYED_ADDRESS) == Address(HOST, base + 1)
        assert len(serving.opened) == before  # that very socket

    @pytest.mark.req("RFC8656-029", "RFC8656-039")
    def test_a_token_expires_and_its_port_is_closed_and_free_again(self):
        serving = TurnServing(policy={"relay_ports": (50000, 50001)})
        user = serving.client()
        token = user.allocate(PAIR).get(RESERVATION_TOKEN)
        outputs = serving.at(serving.now + 30)
        assert [serving.opened[socket].bind.port for socket in closed(output for _, output in outputs)] == [50001]
        other = serving.client(OTHER_CLIENT)
        assert other.code(ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, token)) == 508
        other.allocate()
        assert other.relayed == (Address(HOST, 50001),)

    @pytest.mark.req("RFC8656-029")
    def test_a_token_is_good_once(self):
        serving = TurnServing()
        token = (RESERVATION_TOKEN, serving.client().allocate(PAIR).get(RESERVATION_TOKEN))
        assert serving.client(OTHER_CLIENT).code(ALLOCATE, UDP_RELAY, token) == 0
        assert serving.client(Address("192.0.2.1", 40001)).code(ALLOCATE, UDP_RELAY, token) == 508

    def test_of_a_token_that_was_used_nothing_is_kept(self):
        serving = TurnServing()
        user, other = serving.client(), serving.client(OTHER_CLIENT)
        token = (RESERVATION_TOKEN, user.allocate(PAIR).get(RESERVATION_TOKEN))
        assert other.code(ALLOCATE, UDP_RELAY, token) == 0
        assert serving.server._allocator._held == {}
        assert serving.server._allocator.deadline() == math.inf

    def test_a_token_is_its_owners(self):
        serving = TurnServing()
        token = (RESERVATION_TOKEN, serving.client().allocate(PAIR).get(RESERVATION_TOKEN))
        assert serving.client(OTHER_CLIENT, user="bob").code(ALLOCATE, UDP_RELAY, token) == 508
        assert serving.client(OTHER_CLIENT).code(ALLOCATE, UDP_RELAY, token) == 0

    @pytest.mark.req("RFC8656-040")
    def test_a_token_is_good_on_any_5_tuple(self):
        serving = TurnServing()
        token = (RESERVATION_TOKEN, serving.client().allocate(PAIR).get(RESERVATION_TOKEN))
        far = serving.stream(Address("203.0.113.50", 7), transport=TCP)
        assert far.code(ALLOCATE, UDP_RELAY, token) == 0

    def test_a_pair_is_bound_whole_or_not_at_all(self):
        serving = TurnServing(policy={"relay_ports": (50000, 50003)})
        serving.refused[Address(HOST, 50001)] = IN_USE
        user = serving.client()
        answer = user.allocate(PAIR)
        assert (user.relayed[0].port, RESERVATION_TOKEN in answer) == (50002, True)
        tried = [socket for socket, asked in serving.opened.items() if asked.bind == Address(HOST, 50000)]
        other = serving.client(OTHER_CLIENT)
        other.allocate()
        assert other.relayed[0].port == 50000  # given back, unlike 50001
        assert len(tried) <= 1

    def test_reservations_are_bounded(self):
        serving = TurnServing(limits=TurnLimits(reservations_per_user=1))
        token = serving.client().allocate(PAIR).get(RESERVATION_TOKEN)
        other = serving.client(OTHER_CLIENT)
        assert other.code(ALLOCATE, UDP_RELAY, PAIR) == 508
        assert other.code(ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, token)) == 0
        assert serving.client(Address("192.0.2.1", 40001)).code(ALLOCATE, UDP_RELAY, PAIR) == 0

    def test_a_reserved_socket_that_dies_takes_its_token_along(self):
        serving = TurnServing(limits=TurnLimits(reservations_per_user=1))
        user = serving.client()
        token = user.allocate(PAIR).get(RESERVATION_TOKEN)
        (reserved,) = (socket for socket, asked in serving.opened.items() if asked.bind.port == user.relayed[0].port + 1)
        serving.server.handle_socket_failed(reserved, SocketError(SocketErrorKind.OTHER), now=serving.now)
        other = serving.client(OTHER_CLIENT)
        assert other.code(ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, token)) == 508
        assert other.code(ALLOCATE, UDP_RELAY, PAIR) == 0

    def test_a_reserved_socket_that_dies_at_the_end_of_its_time_is_let_go_once(self):
        serving = TurnServing(limits=TurnLimits(reservations_per_user=1))
        user = serving.client()
        user.allocate(PAIR)
        (reserved,) = (socket for socket, asked in serving.opened.items() if asked.bind.port == user.relayed[0].port + 1)
        serving.now += 30
        serving.server.handle_socket_failed(reserved, SocketError(SocketErrorKind.OTHER), now=serving.now)
        serving.at(serving.now)
        assert serving.client(OTHER_CLIENT).code(ALLOCATE, UDP_RELAY, PAIR) == 0

    def test_data_for_a_reserved_port_is_nobodys(self):
        serving = TurnServing()
        user = serving.client()
        user.allocate(PAIR)
        (reserved,) = (socket for socket, asked in serving.opened.items() if asked.bind.port == user.relayed[0].port + 1)
        assert serving.feed(reserved, (PEER, b"hello?")) == []


class TestPorts:
    def test_one_for_which_there_was_no_descriptor_is_free_again_at_once(self):
        serving = one_port()
        serving.refused[Address(HOST, 50000)] = EXHAUSTED
        user = serving.client()
        assert user.code(ALLOCATE, UDP_RELAY) == 508
        serving.refused.clear()
        assert user.code(ALLOCATE, UDP_RELAY) == 0

    @pytest.mark.parametrize("kind", [IN_USE, SocketErrorKind.PERMISSION])
    def test_one_that_the_system_refuses_rests_for_a_minute(self, kind):
        serving = TurnServing(policy={"relay_ports": (50000, 50001)})
        serving.refused[Address(HOST, 50000)] = kind
        user, other = serving.client(), serving.client(OTHER_CLIENT)
        assert user.code(ALLOCATE, UDP_RELAY, EVEN) == 508
        serving.refused.clear()
        user.allocate()
        assert user.relayed == (Address(HOST, 50001),)
        assert other.code(ALLOCATE, UDP_RELAY) == 508
        serving.at(START + 60)
        assert other.code(ALLOCATE, UDP_RELAY) == 0

    def test_what_leaves_from_one_may_be_fragmented_unless_that_is_said(self):
        serving = TurnServing()
        serving.client().allocate()
        assert next(reversed(serving.opened.values())).options.dont_fragment is False  # RFC 8656 14

    def test_the_even_one_of_a_pair_is_the_clients_whichever_is_open_first(self):
        serving = TurnServing()
        user = serving.client()
        request = user.request(ALLOCATE, UDP_RELAY, PAIR)
        serving.holding = True
        even, odd = user.send(request)
        serving.open(odd)
        serving.open(even)
        (answer,) = user.answers(serving.take())
        assert decode_untrusted(answer).get(XOR_RELAYED_ADDRESS) == even.bind


class TestQuotas:
    @pytest.mark.req("RFC8656-013", "RFC8656-036")
    def test_a_user_has_so_many_allocations_wherever_they_are_made_from(self):
        serving = TurnServing(limits=TurnLimits(allocations_per_user=1))
        user = serving.client()
        user.allocate()
        elsewhere = serving.client(Address("203.0.113.77", 5))
        assert elsewhere.code(ALLOCATE, UDP_RELAY) == 486
        assert serving.client(Address("203.0.113.78", 5), user="bob").code(ALLOCATE, UDP_RELAY) == 0
        assert user.code(REFRESH, (LIFETIME, 0)) == 0
        assert elsewhere.code(ALLOCATE, UDP_RELAY) == 0

    def test_all_users_together_have_so_many(self):
        serving = TurnServing(limits=TurnLimits(allocations=1))
        serving.client().allocate()
        assert serving.client(OTHER_CLIENT, user="bob").code(ALLOCATE, UDP_RELAY) == 508

    def test_limits_may_change_and_nobody_loses_what_he_has(self):
        serving = TurnServing()
        serving.client().allocate()
        serving.call(serving.server.set_limits, TurnLimits(allocations_per_user=0))
        assert serving.client(OTHER_CLIENT).code(ALLOCATE, UDP_RELAY) == 486
        assert len(serving.allocations()) == 1
        assert serving.server.limits.allocations_per_user == 0

    def test_what_was_refused_is_not_counted(self):
        serving = TurnServing(limits=TurnLimits(allocations_per_user=1), policy={"relay_ports": (50000, 50000)})
        user = serving.client()
        assert user.code(ALLOCATE, UDP_RELAY, PAIR) == 508
        assert user.code(ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, bytes(8))) == 508
        assert user.code(ALLOCATE, UDP_RELAY) == 0

    def test_where_no_port_may_be_reserved_a_pair_is_refused_and_not_counted(self):
        serving = TurnServing(limits=TurnLimits(allocations_per_user=1, reservations_per_user=0))
        user = serving.client()
        assert user.code(ALLOCATE, UDP_RELAY, PAIR) == 508
        assert user.code(ALLOCATE, UDP_RELAY) == 0

    def test_a_pair_that_cannot_be_bound_is_not_counted_as_reserved(self):
        serving = TurnServing(limits=TurnLimits(reservations_per_user=1), policy={"relay_ports": (50000, 50001)})
        serving.refused[Address(HOST, 50001)] = IN_USE
        user = serving.client()
        assert user.code(ALLOCATE, UDP_RELAY, PAIR) == 508
        serving.refused.clear()
        serving.at(START + 60)
        assert user.code(ALLOCATE, UDP_RELAY, PAIR) == 0

    def test_names_of_one_account_share_its_quota(self):
        serving = TurnServing(limits=TurnLimits(allocations_per_user=1), account=lambda name: "everybody")
        serving.client().allocate()
        assert serving.client(OTHER_CLIENT, user="bob").code(ALLOCATE, UDP_RELAY) == 486

    def test_where_nobody_is_asked_for_a_name_a_host_is_an_account(self):
        serving = TurnServing(limits=TurnLimits(allocations_per_user=1), authentication=None, policy={"anonymous": True})

        def code(address):
            request = encode(ALLOCATE, MessageClass.REQUEST, ID, [UDP_RELAY])
            return code_of(serving.client(address).answer(request))

        assert code(CLIENT) == 0
        assert code(OTHER_CLIENT) == 486
        assert code(Address("203.0.113.77", 5)) == 0
        assert [info.username for info in serving.allocations()] == ["", ""]


class TestRedirection:
    ALTERNATES = (Address("203.0.113.1", 3478), Address("2001:db8:2::1", 3478))

    @pytest.mark.req("RFC8656-037")
    def test_new_allocations_go_elsewhere_from_a_number_on(self):
        serving = TurnServing(policy={"alternates": self.ALTERNATES, "redirect_from": 1})
        user = serving.client()
        user.allocate()
        answer = serving.client(OTHER_CLIENT).ask(ALLOCATE, UDP_RELAY)
        assert (code_of(answer), answer.get(ALTERNATE_SERVER)) == (300, self.ALTERNATES[0])
        assert user.code(REFRESH) == 0
        assert user.code(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, PEER)) == 0

    @pytest.mark.req("RFC8656-037")
    def test_the_alternate_is_of_the_clients_family(self):
        serving = TurnServing(policy={"alternates": self.ALTERNATES, "redirect_from": 0})
        answer = serving.client(Address("2001:db8::7", 5), socket=SocketId(2)).ask(ALLOCATE, UDP_RELAY)
        assert answer.get(ALTERNATE_SERVER) == self.ALTERNATES[1]

    def test_a_client_for_which_there_is_no_alternate_is_served_here(self):
        serving = TurnServing(policy={"alternates": self.ALTERNATES[1:], "redirect_from": 0})
        assert serving.client().code(ALLOCATE, UDP_RELAY) == 0

    def test_several_alternates_share_the_load(self):
        several = tuple(Address("203.0.113.1", port) for port in range(3000, 3004))
        serving = TurnServing(policy={"alternates": several, "redirect_from": 0})
        user = serving.client()
        assert {user.ask(ALLOCATE, UDP_RELAY).get(ALTERNATE_SERVER) for _ in range(100)} == set(several)


def test_without_credentials_nobody_is_told_where_else_to_go():
    serving = TurnServing(policy={"alternates": (Address("203.0.113.1", 3478),), "redirect_from": 0})
    answer = serving.client().answer(encode(ALLOCATE, MessageClass.REQUEST, ID, [UDP_RELAY]))
    assert code_of(answer) == 401


def test_an_allocation_ends_with_what_it_has_relayed():
    serving = TurnServing()
    user = serving.client()
    user.allocate()
    user.permit(PEER)
    user.indicate(PEER, b"four")
    user.hear(PEER, b"sixsix")
    (closing,) = told(user.send(user.request(REFRESH, (LIFETIME, 0))))
    assert (type(closing), closing.reason) == (AllocationClosed, CloseReason.DELETED)
    stats = closing.stats
    assert (stats.received_packets, stats.received_bytes, stats.sent_packets, stats.sent_bytes) == (1, 4, 1, 6)


def test_a_request_that_asks_for_a_family_by_itself_is_counted_once():
    serving = TurnServing(limits=TurnLimits(allocations_per_user=1), policy={"stun": StunServerConfig(rate=None)})
    user = serving.client(user=next(iter(USERS)))
    user.allocate((REQUESTED_ADDRESS_FAMILY, 2))
    assert [info.relayed[0].host for info in serving.allocations()] == [HOST6]
