"""Names that conceal an address."""

import random
import uuid

import pytest
from hypothesis import given, strategies as st

from sansice.ice import is_concealing_name, is_mdns_name, mdns_name


@pytest.mark.req("MDNS-001")
@given(st.binary(min_size=16, max_size=16))
def test_a_name_is_a_version_4_uuid_and_local(drawn):
    name = mdns_name(lambda size: drawn[:size])
    head, _, tail = name.partition(".")
    read = uuid.UUID(head)
    assert (tail, read.version, read.variant, str(read)) == ("local", 4, uuid.RFC_4122, head)
    assert is_mdns_name(name) and is_concealing_name(name)


def test_names_differ():
    entropy = random.Random(1).randbytes
    assert len({mdns_name(entropy) for _ in range(100)}) == 100
    assert mdns_name() != mdns_name()


@pytest.mark.req("MDNS-007")
@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("x.local", True),
        ("X.LOCAL", True),
        ("0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local", True),
        ("a.b.local", False),
        ("x.local.", False),
        ("local", False),
        ("xlocal", False),
        ("x.example", False),
        ("x.local.example", False),
        ("192.0.2.1", False),
        ("2001:db8::1", False),
        ("", False),
    ],
)
def test_an_mdns_name_ends_in_local_and_has_no_other_dot(text, is_one):
    assert is_mdns_name(text) is is_one


@pytest.mark.req("MDNS-010")
@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local", True),
        ("0B5A4D2E-7C1F-4A3B-9E8D-5F6A7B8C9D0E.LOCAL", True),
        ("printer.local", False),
        ("0b5a4d2e7c1f4a3b9e8d5f6a7b8c9d0e.local", False),
        ("0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0.local", False),
        ("gb5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local", False),
        ("0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local\n", False),
        ("0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.x.local", False),
        ("0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e-local", False),
        ("0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.example", False),
        ("a" * 10_000 + ".local", False),
    ],
)
def test_only_a_uuid_conceals(text, is_one):
    assert is_concealing_name(text) is is_one
