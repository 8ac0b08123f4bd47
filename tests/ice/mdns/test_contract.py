"""The machine of mDNS keeps the contract of machines."""

import pytest
from hypothesis import strategies as st

from ice._mdns import NAME, OTHER_NAME, OURS
from sansice.ice import MdnsAgent, MdnsConfig, mdns_name
from sansice.ice._mdns._message import AAAA, ANY, A, HostRecord, Question, encode_query, encode_response
from sansice.simulation import check_machine

FIRST = mdns_name(lambda size: bytes(size))
NAMES = st.sampled_from([NAME, OTHER_NAME, FIRST, "printer.local"])
HOSTS = st.sampled_from(["192.168.1.2", "192.168.1.3", "127.0.0.1", "fe80::1", "2001:db8::2"])
RECORDS = st.lists(st.builds(HostRecord, NAMES, HOSTS, st.sampled_from([0, 1, 120]), st.booleans()), max_size=4)
QUESTIONS = st.lists(st.builds(Question, NAMES, st.sampled_from([A, AAAA, ANY]), st.booleans()), max_size=4)
DATAGRAMS = st.one_of(st.builds(encode_response, RECORDS), st.builds(encode_query, QUESTIONS, RECORDS))
COMMANDS = {
    "update_addresses": [(["192.168.1.1"],), (["192.168.1.1", "2001:db8::1/64"],), ([],), (["nonsense"],)],
    "register": [(OURS,), ("2001:db8::1",), ("nonsense",)],
    "withdraw": [(NAME,), (FIRST,)],
    "end_session": [("",), ("other",)],
    "resolve": [(NAME,), (OTHER_NAME,), (FIRST,), ("printer.local",)],
    "cancel": [(1,), (2,), (3,)],
    "close": [()],
}


def made(entropy, **options):
    return MdnsAgent(entropy=entropy, **options)


def on_a_link(agent, now):
    agent.update_addresses([OURS, "2001:db8::1"], now=now)
    agent.register(OURS, now=now)
    agent.resolve(NAME, now=now)


def state_size(agent):
    links = sum(len(link.told) + len(link._waiting) + len(link._due) for link in agent._links.values())
    return links + len(agent._querier) + len(agent._responder)


@pytest.mark.parametrize("setup", [None, on_a_link], ids=["new", "on a link"])
@pytest.mark.parametrize(
    "config", [MdnsConfig(), MdnsConfig(ask_unicast=True, max_cached=2, max_unicast_answers=1)], ids=["", "tight"]
)
def test_the_machine_keeps_the_contract(setup, config):
    check_machine(
        lambda entropy: made(entropy, config=config),
        setup=setup,
        commands=COMMANDS,
        datagrams=DATAGRAMS,
        measure=state_size,
        bound=400,
        max_examples=20,
    )


def test_the_machine_that_is_flooded_holds_no_more_than_before():
    check_machine(made, setup=on_a_link, commands={}, datagrams=DATAGRAMS, max_examples=5, flood=4000)
