import attrs
import pytest

from sansice.simulation import (
    AgentRestarted,
    At,
    HostSlept,
    InterfaceDown,
    InterfaceReaddressed,
    InterfaceUp,
    Link,
    LinkChanged,
    NatRebooted,
    ServerRebooted,
    changes_in_words,
    scene,
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (InterfaceDown("alice", "192.168.1.2"), "alice's interface 192.168.1.2 goes down"),
        (InterfaceUp("alice", "192.168.1.2"), "alice's interface 192.168.1.2 comes up"),
        (InterfaceReaddressed("alice", "192.168.1.2", "192.168.1.7"), "alice's interface 192.168.1.2 becomes 192.168.1.7"),
        (NatRebooted("home A"), "home A reboots and loses every mapping"),
        (NatRebooted("home A", 20.0), "home A reboots and loses every mapping, which takes 20 s"),
        (LinkChanged("internet", Link(loss=1.0)), "the link of internet changes"),
        (ServerRebooted("stun", 2.5), "stun does not answer for 2.5 s"),
        (HostSlept("alice", 60.0), "alice sleeps for 60 s"),
        (AgentRestarted("alice"), "alice is restarted by its program"),
    ],
)
def test_change_in_words_with_its_time(change, words):
    changed = attrs.evolve(scene("two-homes"), changes=(At(5.0, change),))
    assert changes_in_words(changed) == [(5.0, words)]
