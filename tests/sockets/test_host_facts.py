"""What the system says of addresses and interfaces, from trees of files like those of Linux, and from Linux itself."""

import pytest

from sansice.ice import HostAddress, InterfaceKind
from sansice.sockets import Interface, _host_facts
from sansice.sockets._host_facts import KnownHost, device_of, known_hosts, usable_hosts
from sansice.sockets._links import LinkState

TEMPORARY, DAD_FAILED, DEPRECATED, TENTATIVE, PERMANENT = 0x01, 0x08, 0x20, 0x40, 0x80
HEX = "20010db80000000000000000000000{:02x}"


class Tree:
    """Files as the kernel shows them, below a folder."""

    def __init__(self, root):
        self.root = root
        self.net = root / "sys/class/net"
        self.net.mkdir(parents=True)

    def add(self, name, *entries, type="1", uevent=""):
        """An interface, with what is in its folder."""
        folder = self.net / name
        folder.mkdir()
        (folder / "type").write_text(f"{type}\n")
        (folder / "uevent").write_text(f"{uevent}INTERFACE={name}\nIFINDEX=2\n")
        for entry in entries:
            (folder / entry).mkdir()

    def write_flags(self, *lines):
        """Lines of (hexadecimal address, flags, interface)."""
        path = self.root / "proc/thread-self/net"
        path.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{address} 04 40 00 {flags:02x} {name:>8}\n" for address, flags, name in lines)
        (path / "if_inet6").write_text(text)

    def look(self, *listed, links=None):
        return known_hosts([Interface(name, address) for name, address in listed], links or {}, str(self.root))

    def kind_of(self, name):
        [(host, *_)] = self.look((name, "192.0.2.1"))
        return host.kind


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.mark.parametrize(
    ("kind", "entries", "type", "uevent"),
    [
        ("wired", ["device"], "1", ""),
        ("wireless", ["device", "wireless"], "1", ""),
        ("wireless", ["device", "phy80211"], "1", ""),
        ("wireless", ["device"], "1", "DEVTYPE=wlan\n"),
        ("cellular", ["device"], "1", "DEVTYPE=wwan\n"),
        ("cellular", ["device"], "65534", "DEVTYPE=wwan\n"),
        ("cellular", [], "519", ""),
        ("vpn", [], "65534", "DEVTYPE=wireguard\n"),
        ("vpn", ["tun_flags"], "65534", ""),
        ("vpn", [], "776", ""),
        ("virtual", ["tun_flags"], "1", ""),  # a tap device, such as virtual machines are plugged into
        ("virtual", [], "1", "DEVTYPE=bridge\n"),
        ("unknown", [], "772", ""),  # loopback
        ("unknown", [], "512", ""),  # PPP
        ("unknown", ["device"], "32", ""),  # Infiniband
    ],
)
def test_the_kind_of_an_interface_is_told_by_its_files(tree, kind, entries, type, uevent):
    tree.add("if0", *entries, type=type, uevent=uevent)
    assert tree.kind_of("if0") is InterfaceKind(kind)


@pytest.mark.parametrize(
    ("lower", "kind"),
    [
        (["eth0"], "wired"),
        (["tap0", "wlan0"], "wireless"),
        (["tap0", "eth0", "wlan0"], "wired"),
        (["tap0"], "virtual"),
        (["tap0", "gone0"], "unknown"),
        (["vlan0"], "wired"),
    ],
)
def test_an_interface_over_others_leads_where_the_best_of_them_leads(tree, lower, kind):
    tree.add("eth0", "device")
    tree.add("wlan0", "device", "wireless")
    tree.add("tap0", "tun_flags")
    tree.add("vlan0", "lower_eth0", uevent="DEVTYPE=vlan\n")
    tree.add("br0", *(f"lower_{name}" for name in lower), uevent="DEVTYPE=bridge\n")
    assert tree.kind_of("br0") is InterfaceKind(kind)


def test_what_is_below_is_looked_for_no_deeper_than_interfaces_are_stacked(tree):
    tree.add("if4", "device")
    for level in range(4):
        tree.add(f"if{level}", f"lower_if{level + 1}")
    assert tree.kind_of("if1") is InterfaceKind.WIRED
    assert tree.kind_of("if0") is InterfaceKind.UNKNOWN


def test_two_interfaces_that_say_they_are_below_each_other_end(tree):
    tree.add("if0", "lower_if1")
    tree.add("if1", "lower_if0")
    assert tree.kind_of("if0") is InterfaceKind.UNKNOWN


def test_of_a_bridge_of_thousands_a_few_are_looked_at(tree, monkeypatch):
    asked = []
    real = _host_facts.os.listdir
    monkeypatch.setattr(_host_facts.os, "listdir", lambda path: asked.append(path) or real(path))
    tree.add("br0", *(f"lower_veth{number:04}" for number in range(1000)))
    tree.kind_of("br0")
    assert len(asked) == 1 + _host_facts.MAX_LOWER


def test_of_thousands_of_interfaces_the_first_ones_are_looked_at(tree, monkeypatch):
    monkeypatch.setattr(_host_facts, "MAX_INTERFACES", 2)
    for number in range(3):
        tree.add(f"eth{number}", "device")
    listed = [(f"eth{number}", f"192.0.2.{address}") for address in range(2) for number in range(3)]
    kinds = [host.kind.value for host, *_ in tree.look(*listed)]
    assert kinds == ["wired", "wired", "unknown"] * 2


def test_each_interface_is_looked_at_once_whatever_it_has(tree, monkeypatch):
    asked = []
    real = _host_facts.os.listdir
    monkeypatch.setattr(_host_facts.os, "listdir", lambda path: asked.append(path) or real(path))
    tree.add("eth0", "device")
    hosts = tree.look(("eth0", "192.0.2.1"), ("eth0:1", "192.0.2.2"), ("eth0", "2001:db8::1"))
    assert [host.kind for host, *_ in hosts] == [InterfaceKind.WIRED] * 3
    assert len(asked) == 1


def test_a_label_of_an_address_is_shown_as_it_is_listed(tree):
    [(host, *_)] = tree.look(("eth0:1", "192.0.2.2"))
    assert host.interface == "eth0:1"


def test_temporary_addresses_are_known_by_their_flag(tree):
    tree.write_flags((HEX.format(1), PERMANENT, "eth0"), (HEX.format(2), TEMPORARY, "eth0"), (HEX.format(1), TEMPORARY, "eth1"))
    listed = [("eth0", "2001:db8::1"), ("eth0", "2001:db8::2"), ("eth1", "2001:db8::1"), ("eth0", "192.0.2.1")]
    assert [host.is_temporary for host, *_ in tree.look(*listed)] == [False, True, True, False]
    assert [flags for _, flags, _ in tree.look(*listed)] == [PERMANENT, TEMPORARY, TEMPORARY, 0]


def test_the_zone_of_a_link_local_address_is_no_part_of_it(tree):
    tree.write_flags(("fe80" + "0" * 27 + "1", TENTATIVE, "eth0"))
    assert tree.look(("eth0", "fe80::1%eth0")) == (KnownHost(HostAddress("fe80::1%eth0", interface="eth0"), TENTATIVE),)


@pytest.mark.parametrize("text", ["", "\n", "nonsense\n", HEX.format(1), f"{HEX.format(1)} 04 40 00 zz eth0\n", "\0\xff" * 99])
def test_a_list_that_says_something_else_says_nothing(tree, text):
    tree.write_flags()
    (tree.root / "proc/thread-self/net/if_inet6").write_text(text, encoding="latin-1")
    assert tree.look(("eth0", "2001:db8::1")) == (KnownHost(HostAddress("2001:db8::1", interface="eth0"), 0),)


def test_a_list_without_end_is_read_up_to_its_bound(tree, monkeypatch):
    monkeypatch.setattr(_host_facts, "_MAX_ADDRESSES", 54 * 2)
    tree.write_flags(*((HEX.format(number), TEMPORARY, "eth0") for number in range(1, 9)))
    hosts = tree.look(*(("eth0", f"2001:db8::{number}") for number in range(1, 9)))
    assert [host.is_temporary for host, *_ in hosts] == [True] * 2 + [False] * 6


def test_where_there_are_no_such_files_nothing_is_known(tmp_path):
    listed = [Interface("en0", "192.0.2.1"), Interface("en0", "2001:db8::1"), Interface("Intel(R) I/O", "fe80::1%7")]
    nothing = [KnownHost(HostAddress(address, interface=name), 0) for name, address in listed]
    assert list(known_hosts(listed, {}, str(tmp_path))) == nothing


def test_the_state_of_an_interface_is_that_of_all_its_addresses_and_one_of_which_nothing_is_known_works(tree):
    listed = [("eth0", "192.0.2.1"), ("eth0:1", "192.0.2.2"), ("eth0", "fe80::1%eth0"), ("eth1", "192.0.2.3")]
    states = [one.link for one in tree.look(*listed, links={"eth0": LinkState.DOWN})]
    assert states == [LinkState.DOWN] * 3 + [LinkState.WORKING]
    assert [device_of(name) for name, _ in listed] == ["eth0"] * 3 + ["eth1"]


# ---------------------------------------------------------------- which may be used


def known(host, flags=0, interface="eth0", link=LinkState.WORKING):
    return KnownHost(HostAddress(host, interface=interface, is_temporary=bool(flags & TEMPORARY)), flags, link)


def usable(*hosts, in_use=()):
    return [one.host for one in usable_hosts(hosts, in_use)]


@pytest.mark.parametrize("flags", [TENTATIVE, DAD_FAILED, TENTATIVE | DAD_FAILED | PERMANENT])
def test_an_address_that_may_be_somebody_elses_is_not_used(flags):
    assert usable(known("2001:db8::1", flags), known("192.0.2.1")) == ["192.0.2.1"]


def test_a_deprecated_address_is_not_used_beside_another_of_its_interface():
    old, new = known("2001:db8::1", DEPRECATED | TEMPORARY), known("2001:db8::2", TEMPORARY)
    assert usable(old, new) == ["2001:db8::2"]


@pytest.mark.parametrize(
    "other",
    [
        known("192.0.2.1"),
        known("fe80::1%eth0"),
        known("2001:db8::2", interface="eth1"),
        known("2001:db8::2", TENTATIVE | DEPRECATED),
    ],
    ids=["IPv4", "link-local", "another interface", "not free yet"],
)
def test_a_deprecated_address_is_used_where_its_interface_has_no_other_of_its_scope(other):
    assert "2001:db8::1" in usable(known("2001:db8::1", DEPRECATED), other)


@pytest.mark.parametrize("flags", [TENTATIVE, DEPRECATED])
@pytest.mark.parametrize("used", ["2001:db8::1", HostAddress("2001:db8::1", interface="eth0")])
def test_an_address_in_use_stays_whatever_becomes_of_it(flags, used):
    assert usable(known("2001:db8::1", flags), known("2001:db8::2"), in_use=[used]) == ["2001:db8::1", "2001:db8::2"]


def test_an_address_in_use_that_has_gone_is_not_there():
    assert usable(known("2001:db8::2"), in_use=["2001:db8::1"]) == ["2001:db8::2"]


@pytest.mark.parametrize(("link", "used"), [(LinkState.DOWN, ["192.0.2.1"]), (LinkState.FALTERING, ["2001:db8::1", "192.0.2.1"])])
def test_what_has_begun_stays_while_a_carrier_may_come_back_and_not_where_an_interface_is_down(link, used):
    hosts = [known("2001:db8::1", link=link), known("192.0.2.1", interface="eth1")]
    assert usable(*hosts, in_use=["2001:db8::1"]) == used
    assert usable(*hosts) == ["192.0.2.1"]


@pytest.mark.parametrize("link", [LinkState.DOWN, LinkState.FALTERING])
def test_a_deprecated_address_is_used_where_nothing_leaves_by_the_other(link):
    assert usable(known("2001:db8::1", DEPRECATED), known("2001:db8::2", link=link)) == ["2001:db8::1"]
