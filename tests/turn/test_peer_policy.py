"""Whom a relay may reach: the attack first, then what is allowed."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest

from sansice.turn import ANY_PEER, DEFAULT_PEER_POLICY, PeerPolicy
from sansice.turn._peer_policy import _REMEMBERED
from sansice.turn._special_purpose import IPV4_BLOCKS, IPV6_BLOCKS

# What others' servers forwarded to: loopback, the network behind, the cloud's metadata, all of a link; each as written by
# somebody who knows how the list of refused networks is compared.
FORBIDDEN = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "0.1.2.3",
    "::1",
    "::",
    "169.254.169.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "192.0.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "255.255.255.255",
    "::ffff:127.0.0.1",
    "::ffff:0.0.0.0",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
    "fe80::1",
    "fd00::1",
    "ff02::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "64:ff9b:1::7f00:1",
    "2606:4700::5efe:7f00:1",
    "2606:4700::200:5efe:a00:1",
    "fec0::1",
    "2001:db8::1",
    "fe80::1%eth0",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "100.128.0.1", "172.32.0.1", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("host", FORBIDDEN)
def test_a_special_purpose_peer_is_refused_however_it_is_written(host):
    assert not DEFAULT_PEER_POLICY.allows(host)
    assert DEFAULT_PEER_POLICY.refusal(host)


@pytest.mark.parametrize("block", [*IPV4_BLOCKS, *IPV6_BLOCKS], ids=lambda block: block.network)
def test_the_first_and_the_last_of_every_block_are_refused(block):
    network = IPv6Network(block.network) if ":" in block.network else IPv4Network(block.network)
    assert not DEFAULT_PEER_POLICY.allows(str(network[0]))
    assert not DEFAULT_PEER_POLICY.allows(str(network[-1]))


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_peer_is_allowed(host):
    assert DEFAULT_PEER_POLICY.allows(host)
    assert DEFAULT_PEER_POLICY.refusal(host) == ""


def test_the_reason_names_the_block_and_the_way_into_it():
    policy = PeerPolicy(allow=["64:ff9b::/96"], deny=["9.9.9.0/24"])
    assert policy.refusal("10.0.0.1") == "10.0.0.1: private use, RFC 1918"
    assert policy.refusal("9.9.9.9") == "9.9.9.9: denied by the rule 9.9.9.0/24"
    assert policy.refusal("64:ff9b::10.0.0.1") == (
        "64:ff9b::a00:1 leads to 10.0.0.1: private use, RFC 1918; NAT64 (RFC 6052 2.1)"
    )


def test_opening_nat64_opens_no_more_than_the_addresses_within():
    policy = PeerPolicy(allow=["64:ff9b::/96"])
    assert policy.allows("64:ff9b::8.8.8.8")
    assert not policy.allows("64:ff9b::127.0.0.1")
    assert not PeerPolicy(allow=["64:ff9b::/96"], deny=["8.8.8.8"]).allows("64:ff9b::8.8.8.8")


def test_denying_an_address_denies_its_isatap_form():
    assert DEFAULT_PEER_POLICY.allows("2606:4700::200:5efe:808:808")
    assert not PeerPolicy(deny=["8.8.8.8"]).allows("2606:4700::200:5efe:808:808")


def test_an_allowed_block_is_open_and_its_neighbours_are_not():
    policy = PeerPolicy(allow=["10.1.0.0/16", "fd00::/8"])
    assert policy.allows("10.1.255.255")
    assert not policy.allows("10.2.0.0")
    assert policy.allows("fd12::1")
    assert not policy.allows("fc12::1")


def test_the_smallest_network_decides():
    policy = PeerPolicy(allow=["10.1.0.0/16", "10.1.2.3"], deny=["10.1.2.0/24"])
    assert policy.allows("10.1.3.1")
    assert not policy.allows("10.1.2.1")
    assert policy.allows("10.1.2.3")


def test_of_equal_networks_deny_comes_before_allow_and_allow_before_the_blocks():
    assert PeerPolicy(allow=["127.0.0.0/8"]).allows("127.0.0.1")
    assert not PeerPolicy(allow=["127.0.0.0/8"], deny=["127.0.0.0/8"]).allows("127.0.0.1")
    assert not PeerPolicy(allow=["8.8.8.8"], deny=["8.8.8.8"]).allows("8.8.8.8")


def test_a_rule_that_is_wider_than_a_block_does_not_open_it():
    policy = PeerPolicy(allow=["0.0.0.0/0", "::/0"])
    assert not policy.allows("127.0.0.1")
    assert not policy.allows("fd00::1")
    assert policy.allows("8.8.8.8")


def test_denying_everything_leaves_what_is_allowed():
    policy = PeerPolicy(deny=["0.0.0.0/0", "::/0"], allow=["8.8.8.0/24"])
    assert policy.allows("8.8.8.8")
    assert not policy.allows("9.9.9.9")
    assert not policy.allows("2606:4700::1")


@pytest.mark.req("RFC8656-118")
@pytest.mark.parametrize("host", ["2001:0:4136:e378:8000:63bf:f7f7:f7f7", "2002:808:808::1"])
def test_no_rule_opens_6to4_or_teredo(host):
    assert not PeerPolicy(allow=["2001::/32", "2002::/16", host]).allows(host)
    assert not ANY_PEER.allows(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "192.0.2.1", "2001:db8::1", "224.0.0.1", "64:ff9b:1::7f00:1", *PUBLIC])
def test_any_peer_is_any_peer(host):
    assert ANY_PEER.allows(host)


def test_a_rule_may_be_an_address_a_range_or_an_object():
    policy = PeerPolicy(
        allow=[
            IPv4Network("10.0.0.0/30"),
            IPv4Address("10.9.9.9"),
            " 10.2.0.1 - 10.2.0.3 ",
            "fd00::1-fd00::2",
            "::ffff:10.3.0.0/112",
        ]
    )
    assert policy.allow == (
        "10.0.0.0/30",
        "10.9.9.9/32",
        "10.2.0.1/32",
        "10.2.0.2/31",
        "fd00::1/128",
        "fd00::2/128",
        "10.3.0.0/16",
    )
    assert policy.allows("10.2.0.3")
    assert not policy.allows("10.2.0.4")
    assert policy.allows("::ffff:10.3.1.1")


@pytest.mark.parametrize(
    "rule",
    [
        "localhost",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.9-10.0.0.1",
        "10.0.0.1-fd00::1",
        "10.0.0.1-",
        "",
        "*",
        "10.0.0.0/8-10.1.0.0/8",
    ],
)
def test_a_rule_that_is_no_network_is_refused_by_name(rule):
    with pytest.raises(ValueError, match="is not a network of peers"):
        PeerPolicy(deny=[rule])


def test_one_text_in_the_place_of_several_is_refused():
    with pytest.raises(ValueError, match="several of them are wanted"):
        PeerPolicy(allow="10.0.0.0/8")


def test_open_is_what_a_rule_has_opened():
    policy = PeerPolicy(allow=["10.0.0.0/8", "8.8.8.0/24", "2606:4700::5efe:0:0/96"], deny=["8.8.8.8"])
    assert policy.opens("10.1.1.1")
    assert policy.opens("8.8.8.9")
    assert not policy.opens("8.8.8.8")
    assert not policy.opens("9.9.9.9")
    assert not policy.opens("127.0.0.1")
    assert not policy.opens("2606:4700::5efe:7f00:1")


def test_judging_again_gives_the_same_answer_and_takes_no_more_room():
    policy = PeerPolicy()
    hosts = [f"{a}.{b}.{c}.1" for a in (8, 10) for b in range(64) for c in range(64)]
    first = [policy.refusal(host) for host in hosts]
    assert [policy.refusal(host) for host in hosts] == first
    assert len(policy._judge._known) <= _REMEMBERED


def test_policies_of_the_same_rules_are_equal_and_readable():
    policy = PeerPolicy(allow=["10.0.0.1"])
    policy.allows("8.8.8.8")
    assert policy == PeerPolicy(allow=["10.0.0.1/32"])
    assert hash(policy) == hash(PeerPolicy(allow=["10.0.0.1/32"]))
    assert repr(policy) == "PeerPolicy(allow=('10.0.0.1/32',), deny=())"


def test_a_name_is_no_host():
    with pytest.raises(ValueError, match="localhost"):
        DEFAULT_PEER_POLICY.allows("localhost")


@pytest.mark.parametrize("host", ["::1", "::"])
def test_loopback_and_unspecified_of_ipv6_are_no_ipv4_compatible_addresses(host):
    """They can be allowed by their own network alone; RFC 4291 2.5.2 and 2.5.3 name them before 2.5.5.1 does its own."""
    assert PeerPolicy(allow=[f"{host}/128"]).allows(host)
    assert not PeerPolicy(allow=[f"{host}/128"]).allows("::127.0.0.1")


def test_a_rule_for_all_mapped_addresses_is_one_for_all_of_ipv4():
    policy = PeerPolicy(deny=["::ffff:0:0/96"])
    assert policy.deny == ("0.0.0.0/0",)
    assert not policy.allows("8.8.8.8")
    assert policy.allows("2606:4700::1")
