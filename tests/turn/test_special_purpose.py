"""The table of blocks itself; what it is for is in test_peer_policy.py."""

import ipaddress

from sansice.turn._special_purpose import IPV4_BLOCKS, IPV6_BLOCKS


def test_every_block_is_a_network_of_its_family_with_a_name_and_a_source():
    for blocks, version in ((IPV4_BLOCKS, 4), (IPV6_BLOCKS, 6)):
        for block in blocks:
            assert ipaddress.ip_network(block.network).version == version
            assert block.name
            assert block.source.startswith("RFC ")


def test_no_block_is_there_twice():
    networks = [block.network for block in (*IPV4_BLOCKS, *IPV6_BLOCKS)]
    assert len(networks) == len(set(networks))


def test_everything_that_python_knows_to_be_special_is_in_some_block():
    ours = [ipaddress.ip_network(block.network) for block in (*IPV4_BLOCKS, *IPV6_BLOCKS)]
    # The first, the last and the middle of every block, and what is next to it: where tables differ, they differ there.
    edges = {
        address.__class__(number)
        for network in ours
        for address in (network.network_address,)
        for number in (
            int(network[0]) - 1,
            int(network[0]),
            (int(network[0]) + int(network[-1])) // 2,
            int(network[-1]),
            int(network[-1]) + 1,
        )
        if 0 <= number < 2**network.max_prefixlen
    }
    missed = [
        address
        for address in sorted(edges, key=lambda one: (one.version, int(one)))
        if (address.is_private or address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local)
        and not any(address in network for network in ours if network.version == address.version)
    ]
    assert missed == []
