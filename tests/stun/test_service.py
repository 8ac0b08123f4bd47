"""What the adapters' STUN functions share: texts to listeners, events to results, and a service over a driver by hand."""

import pytest

from _services import HandDriver, Queue
from sansice import Address, Transport
from sansice.stun import (
    BehaviorDiscovered,
    BehaviorFailed,
    BehaviorProgressed,
    BehaviorTest,
    BindingLookupFailed,
    Listener,
    ListenerFailed,
    ListenerOpened,
    LookupStep,
    MappedAddressDiscovered,
    NatBehavior,
    ServerTarget,
    ServerUri,
    StunError,
    StunServer,
    StunServiceBase,
    mapped_address,
    nat_behavior,
    parse_listeners,
)

HERE = Address("192.0.2.1", 3478)
URI = ServerUri.parse("stun:192.0.2.1")


# ---------------------------------------------------------------- where to listen


def test_a_bare_address_is_udp_and_tcp():
    both = (Listener(Transport.UDP, HERE), Listener(Transport.TCP, HERE))
    assert parse_listeners(["192.0.2.1:3478"]) == parse_listeners("192.0.2.1:3478") == both


@pytest.mark.parametrize("transport", Transport)
def test_a_transport_may_be_named_in_any_case(transport):
    for word in (transport.value, transport.value.upper()):
        assert parse_listeners([f"{word}:[2001:db8::1]:5349"]) == (Listener(transport, Address("2001:db8::1", 5349)),)


def test_listeners_are_taken_as_they_are_in_their_order():
    secure = Listener(Transport.TLS, HERE, tls="other")
    assert parse_listeners(secure) == (secure,)
    assert parse_listeners(["udp:192.0.2.2:0", secure]) == (Listener(Transport.UDP, Address("192.0.2.2", 0)), secure)


@pytest.mark.parametrize(
    "wrong", ["", "udp", "udp:", "udp:192.0.2.1", "sctp:192.0.2.1:3478", "192.0.2.1", "name.example:3478", "udp:0.0.0.0:3478"]
)
def test_a_text_that_names_no_place_is_named(wrong):
    with pytest.raises(ValueError, match="cannot listen at") as caught:
        parse_listeners([wrong])
    assert repr(wrong) in str(caught.value)


# ---------------------------------------------------------------- what an event means


def test_a_mapped_address_is_the_result_of_a_look_up():
    target = ServerTarget(Transport.UDP, HERE, None)
    assert mapped_address(MappedAddressDiscovered(URI, target, HERE, Address("198.51.100.1", 9), 0.1)) == ("198.51.100.1", 9)


def test_a_failed_look_up_raises_with_step_and_reason():
    with pytest.raises(StunError, match=r"stun:192\.0\.2\.1: nobody is there") as caught:
        mapped_address(BindingLookupFailed(URI, LookupStep.OPEN, "nobody is there"))
    assert (caught.value.uri, caught.value.step, caught.value.reason) == (str(URI), LookupStep.OPEN, "nobody is there")


def test_a_discovery_goes_on_until_it_has_a_result():
    assert nat_behavior(BehaviorProgressed(BehaviorTest.MAPPING, 0, 1)) is None
    behavior = NatBehavior("stun:192.0.2.1")
    assert nat_behavior(BehaviorDiscovered(behavior)) is behavior
    with pytest.raises(StunError, match=r"stun:192\.0\.2\.1: no name") as caught:
        nat_behavior(BehaviorFailed("stun:192.0.2.1", LookupStep.RESOLVE, "no name"))
    assert caught.value.step is LookupStep.RESOLVE


@pytest.mark.parametrize("outcome", [mapped_address, nat_behavior])
def test_a_machine_that_broke_down_has_no_result(outcome):
    with pytest.raises(RuntimeError, match="ended without"):
        outcome(None)


# ---------------------------------------------------------------- a service


def make_service():
    return StunServiceBase(StunServer(), HandDriver, Queue(), Queue())


def test_a_service_waits_for_its_own_steps_and_hands_on_the_rest():
    service = make_service()
    service._driver.call(service.server.start, parse_listeners("192.0.2.1:3478"))
    service._check_listeners()
    assert service.listening == ((Transport.UDP, HERE), (Transport.TCP, HERE))
    assert [type(event) for event in service.events._events] == [ListenerOpened] * 2
    assert len(service._steps._events) == 1
    assert not service._steps._closed
    service._driver.call(service.server.drain)
    assert service._steps._closed
    assert not service.events._closed
    service._end()
    assert service.events._closed
    assert service.listening == ()


def test_a_service_that_cannot_listen_everywhere_says_where_and_why():
    service = make_service()
    service._driver.fails = True
    service._driver.call(service.server.start, parse_listeners(["udp:192.0.2.1:3478", "tcp:192.0.2.1:0"]))
    reasons = r"udp:192\.0\.2\.1:3478: Address already in use; tcp:192\.0\.2\.1:0: address in use"
    with pytest.raises(StunError, match=reasons) as caught:
        service._check_listeners()
    assert caught.value.step is LookupStep.OPEN
    assert [type(event) for event in service.events._events] == [ListenerFailed] * 2


def test_a_service_passes_commands_to_its_server(monkeypatch):
    service = make_service()
    asked = []
    monkeypatch.setattr(StunServer, "provide_key", lambda self, *args, now: asked.append(args) or True)
    monkeypatch.setattr(StunServer, "replace_authentication", lambda self, *args, now: asked.append(args))
    assert service.provide_key(7, None) is True
    service.replace_authentication(None)
    assert asked == [(7, None), (None,)]
    assert service.stats is service.server.stats
