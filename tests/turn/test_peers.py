"""CreatePermission and ChannelBind requests: which are granted (RFC 8656 10.2, 12.2)."""

import pytest

from _turn_serving import PEER, PEER6, TurnServing
from sansice.machine import Address
from sansice.stun import (
    ADDITIONAL_ADDRESS_FAMILY,
    CHANNEL_NUMBER,
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    XOR_PEER_ADDRESS,
    Attribute,
    Method,
    shapes,
)
from sansice.turn import TurnLimits

PERMIT, BIND = Method.CREATE_PERMISSION, Method.CHANNEL_BIND
RAW_PEER = Attribute(XOR_PEER_ADDRESS.code, "RAW", shapes.OPAQUE)
RAW_NUMBER = Attribute(CHANNEL_NUMBER.code, "RAW", shapes.OPAQUE)
PRIVATE = Address("10.0.0.1", 7000)
OTHER = Address("8.8.8.8", 7000)
TEREDO, SIX_TO_FOUR = Address("2001:0:4136:e378:8000:63bf:3fff:fdd2", 7), Address("2002:808:808::1", 7)
DUAL = (ADDITIONAL_ADDRESS_FAMILY, 2)


def allocated(*attributes, **options):
    serving = TurnServing(**options)
    user = serving.client()
    user.allocate(*attributes)
    return serving, user


def has(serving):
    """Permissions and channels of the one allocation."""
    (info,) = serving.allocations()
    return info.permissions, info.channels


class TestPermissions:
    @pytest.mark.req("RFC8656-071")
    def test_one_without_peers_is_a_bad_request(self):
        _, user = allocated()
        assert user.code(PERMIT) == 400

    @pytest.mark.req("RFC8656-071")
    @pytest.mark.parametrize("place", [0, 1])
    def test_one_bad_address_spoils_all(self, place):
        serving, user = allocated()
        peers = [(XOR_PEER_ADDRESS, PEER)]
        peers.insert(place, (RAW_PEER, b"\0\1\0\0\0\0\0"))
        assert user.code(PERMIT, *peers) == 400
        assert has(serving) == (0, 0)

    @pytest.mark.req("RFC8656-074")
    def test_one_installs_all_that_it_lists(self):
        serving, user = allocated()
        assert user.permit(PEER, OTHER, Address("1.1.1.1", 1)) == 0
        assert has(serving) == (3, 0)

    @pytest.mark.req("RFC8656-067")
    def test_ports_do_not_count(self):
        serving, user = allocated()
        assert user.permit(PEER, PEER._replace(port=1), PEER._replace(port=0)) == 0
        assert has(serving) == (1, 0)
        assert len(user.hear(PEER._replace(port=9), b"from elsewhere")) == 1

    @pytest.mark.req("RFC8656-072")
    @pytest.mark.parametrize(("family", "peer"), [(1, PEER6), (2, PEER)])
    def test_a_peer_of_another_family_is_a_mismatch_and_spoils_all(self, family, peer):
        serving, user = allocated((REQUESTED_ADDRESS_FAMILY, family))
        mine = PEER if family == 1 else PEER6
        assert user.permit(mine, peer) == 443
        assert has(serving) == (0, 0)

    def test_a_dual_allocation_has_peers_of_both(self):
        serving, user = allocated(DUAL)
        assert user.permit(PEER, PEER6) == 0
        assert has(serving) == (2, 0)

    @pytest.mark.req("RFC8656-073")
    def test_a_forbidden_peer_spoils_all(self):
        serving, user = allocated()
        assert user.permit(PEER, PRIVATE) == 403
        assert has(serving) == (0, 0)

    def test_an_ipv4_address_in_an_ipv6_one_is_the_ipv4_address(self):
        mapped = (RAW_PEER, b"\0\2" + bytes(18))
        assert allocated()[1].code(PERMIT, mapped) == 443

    @pytest.mark.req("RFC8656-073")
    def test_an_allocation_has_so_many(self):
        serving, user = allocated(limits=TurnLimits(permissions_per_allocation=2))
        assert user.permit(PEER, OTHER, Address("1.1.1.1", 1)) == 508
        assert has(serving) == (0, 0)
        assert user.permit(PEER, OTHER) == 0
        assert user.permit(Address("1.1.1.1", 1)) == 508
        assert user.permit(OTHER) == 0  # one that there is

    @pytest.mark.req("RFC8656-073")
    @pytest.mark.parametrize("bound", ["permissions_per_user", "permissions"])
    def test_so_has_a_user_and_so_have_all_together(self, bound):
        serving = TurnServing(limits=TurnLimits(**{bound: 1}))
        users = [serving.client(), serving.client(Address("192.0.2.1", 9))]
        for user in users:
            user.allocate()
        assert [user.permit(PEER) for user in users] == [0, 508]
        users[0].ask(Method.REFRESH, (LIFETIME, 0))
        assert users[1].permit(PEER) == 0

    @pytest.mark.req("RFC8656-069")
    def test_they_are_one_allocations_own(self):
        serving = TurnServing()
        users = [serving.client(), serving.client(Address("192.0.2.1", 9))]
        for user in users:
            user.allocate()
        users[0].permit(PEER)
        assert [len(user.hear(PEER, b"x")) for user in users] == [1, 0]
        assert [len(user.indicate(PEER, b"x")) for user in users] == [1, 0]

    @pytest.mark.req("RFC8656-006")
    def test_there_are_none_without_an_allocation(self):
        user = TurnServing().client()
        assert (user.permit(PEER), user.bind(0x4000, PEER)) == (437, 437)

    @pytest.mark.req("RFC8656-005")
    def test_another_user_gets_none(self):
        serving, _ = allocated()
        thief = serving.client(user="bob")
        assert (thief.permit(PEER), thief.bind(0x4000, PEER)) == (441, 441)
        assert has(serving) == (0, 0)


class TestChannels:
    @pytest.mark.req("RFC8656-095")
    @pytest.mark.parametrize(
        "attributes",
        [
            [],
            [(CHANNEL_NUMBER, 0x4000)],
            [(XOR_PEER_ADDRESS, PEER)],
            [(RAW_NUMBER, b"\x40\0"), (XOR_PEER_ADDRESS, PEER)],
            [(CHANNEL_NUMBER, 0x4000), (RAW_PEER, b"")],
            [(CHANNEL_NUMBER, 0x4000), (XOR_PEER_ADDRESS, PEER._replace(port=0))],
        ],
    )
    def test_what_is_missing_or_malformed_makes_a_bad_request(self, attributes):
        serving, user = allocated()
        assert user.code(BIND, *attributes) == 400
        assert has(serving) == (0, 0)

    @pytest.mark.req("RFC8656-088", "RFC8656-095")
    @pytest.mark.parametrize(
        ("number", "code"),
        [(0, 400), (0x3FFF, 400), (0x4000, 0), (0x4FFF, 0), (0x5000, 400), (0x7FFF, 400), (0xFFFF, 400)],
    )
    def test_the_numbers_are_4000_to_4fff(self, number, code):
        assert allocated()[1].bind(number, PEER) == code

    @pytest.mark.req("RFC8656-110")
    def test_the_bytes_behind_the_number_are_ignored(self):
        _, user = allocated()
        assert user.code(BIND, (RAW_NUMBER, b"\x40\x00\xff\xff"), (XOR_PEER_ADDRESS, PEER)) == 0

    @pytest.mark.req("RFC8656-089", "RFC8656-095")
    def test_a_number_stands_for_one_peer_and_a_peer_has_one_number(self):
        serving, user = allocated()
        assert user.bind(0x4000, PEER) == 0
        assert user.bind(0x4000, OTHER) == 400
        assert user.bind(0x4001, PEER) == 400
        assert user.bind(0x4000, PEER) == 0
        assert has(serving) == (1, 1)
        assert user.bind(0x4001, PEER._replace(port=1)) == 0  # another transport address
        assert has(serving) == (1, 2)

    @pytest.mark.req("RFC8656-089")
    def test_numbers_taken_in_both_ways_cannot_be_swapped(self):
        _, user = allocated()
        user.bind(0x4000, PEER)
        user.bind(0x4001, OTHER)
        assert (user.bind(0x4000, OTHER), user.bind(0x4001, PEER)) == (400, 400)

    @pytest.mark.req("RFC8656-089")
    def test_a_number_of_one_family_is_taken_for_the_other(self):
        _, user = allocated(DUAL)
        assert user.bind(0x4000, PEER) == 0
        assert user.bind(0x4000, PEER6) == 400

    @pytest.mark.req("RFC8656-089")
    def test_allocations_do_not_share_numbers(self):
        serving = TurnServing()
        users = [serving.client(), serving.client(Address("192.0.2.1", 9))]
        for user in users:
            user.allocate()
        assert [users[0].bind(0x4000, PEER), users[1].bind(0x4000, OTHER)] == [0, 0]

    @pytest.mark.req("RFC8656-096")
    def test_a_peer_of_another_family_is_a_mismatch(self):
        assert allocated()[1].bind(0x4000, PEER6) == 443

    @pytest.mark.req("RFC8656-096")
    def test_a_forbidden_peer_is_forbidden(self):
        assert allocated()[1].bind(0x4000, PRIVATE) == 403

    @pytest.mark.req("RFC8656-118")
    @pytest.mark.parametrize("peer", [TEREDO, SIX_TO_FOUR])
    def test_peers_behind_tunnels_are_forbidden(self, peer):
        _, user = allocated(DUAL)
        assert (user.bind(0x4000, peer), user.permit(peer)) == (403, 403)

    @pytest.mark.req("RFC8656-096")
    @pytest.mark.parametrize(
        "limits",
        [
            TurnLimits(channels_per_allocation=1),
            TurnLimits(channels_per_user=1),
            TurnLimits(channels=1),
            TurnLimits(permissions_per_allocation=1),
        ],
    )
    def test_there_are_so_many(self, limits):
        serving, user = allocated(limits=limits)
        assert user.bind(0x4000, PEER) == 0
        assert user.bind(0x4001, OTHER) == 508
        assert has(serving) == (1, 1)
        assert user.bind(0x4000, PEER) == 0

    def test_a_channel_that_gets_no_permission_is_not_counted(self):
        serving, user = allocated(limits=TurnLimits(permissions_per_allocation=1, channels=1))
        user.permit(OTHER)
        assert user.bind(0x4000, PEER) == 508
        serving.at(serving.now + 300)
        assert user.bind(0x4000, PEER) == 0

    def test_a_channel_that_is_there_is_not_refreshed_without_its_permission(self):
        serving, user = allocated(limits=TurnLimits(permissions_per_allocation=1))
        user.bind(0x4000, PEER)
        serving.at(serving.now + 300)  # the permission has expired, the channel has not
        user.permit(OTHER)
        assert user.bind(0x4000, PEER) == 508
        assert has(serving) == (1, 1)

    @pytest.mark.req("RFC8656-066")
    def test_binding_one_installs_the_permission(self):
        serving, user = allocated()
        user.bind(0x4000, PEER)
        assert has(serving) == (1, 1)
        assert len(user.hear(PEER._replace(port=1), b"x")) == 1
