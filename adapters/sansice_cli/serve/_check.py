"""``sansice serve --check``: what would be open to whom, and what is risky about it. Nothing is opened."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import stat
from collections.abc import Iterator

import attrs
import click

from sansice.stun import Listener
from sansice.turn import PeerPolicy, TurnLimits, TurnServerConfig

from ._resources import descriptor_limit
from ._settings import Settings
from ._supervision import relay_port_shares
from ._users import authentication
from ._values import LIMITS, shown_url

# Somebody's own network behind most servers: what a relay must not be a way into.
_INTERESTING = {
    "127.0.0.1": "this machine itself (loopback)",
    "::1": "this machine itself (loopback)",
    "169.254.169.254": "the metadata service of clouds, which hands out their keys",
    "fd00:ec2::254": "the metadata service of clouds, which hands out their keys",
    "10.0.0.1": "private networks",
    "172.16.0.1": "private networks",
    "192.168.0.1": "private networks",
    "100.64.0.1": "networks of providers (carrier-grade NAT)",
    "fd00::1": "private networks",
}
_DESCRIPTORS = 64  # beside those of clients: files, control, metrics
_MANY_PORTS = 4
_SAID = ("allocations", "allocations_per_user", "bytes_per_second", "bytes_per_second_per_user")  # in words of their own


@attrs.frozen
class Finding:
    """What the check says.

    Attributes:
        facts: lines by their heading.
        risks: what somebody should think about.
        errors: what the server would not start with.
    """

    facts: dict[str, list[str]]
    risks: list[str]
    errors: list[str]


def check(settings: Settings, *, as_json: bool) -> int:
    """Tell; 0, or 1 where the server would not start."""
    found = look(settings)
    if as_json:
        click.echo(json.dumps({"ok": not found.errors, **attrs.asdict(found)}))
        return 1 if found.errors else 0
    for heading, lines in found.facts.items():
        click.echo(f"{heading}:")
        for line in lines:
            click.echo(f"  {line}")
    for risk in found.risks:
        click.secho(f"risk: {risk}", fg="yellow")
    for error in found.errors:
        click.secho(f"error: {error}", fg="red")
    return 1 if found.errors else 0


def look(settings: Settings) -> Finding:
    """See `check`."""
    errors = list(_errors(settings))
    facts = {"Listening": [_listener(one) for one in settings.listeners], "Users": list(_users(settings))}
    risks = [*_user_risks(settings), *_place_risks(settings)]
    if settings.turn is not None:
        policy = settings.peer_policy()
        facts["Relayed addresses"] = list(_relays(settings, settings.turn))
        facts["Peers"] = list(_peers(settings))
        facts["Bounds"] = list(_bounds(settings))
        risks += [*_peer_risks(settings, policy), *_relay_risks(settings, settings.turn)]
    return Finding(facts, risks, errors)


def _errors(settings: Settings) -> Iterator[str]:
    try:
        if settings.turn is not None:
            relay_port_shares(settings.turn.relay_ports, settings.workers)
    except ValueError as error:
        yield str(error)
    try:
        material = settings.users.read()
        for realm in settings.realms.names:
            authentication(material, realm, others=settings.realms.names)
    except ValueError as error:
        yield str(error)
    try:
        if (tls := settings.tls()) is not None:
            tls.reload()
    except ValueError as error:
        yield str(error)


def _listener(one: Listener) -> str:
    address = ipaddress.ip_address(one.address.host.partition("%")[0])
    if address.is_loopback:
        whom = "programs of this machine"
    elif address.is_private or address.is_link_local:
        whom = "whoever reaches this network, or is let in by its NAT"
    else:
        whom = "anybody on the Internet"
    proxied = f"; connections from {', '.join(one.trusted_proxies)} say whose they are" if one.trusted_proxies else ""
    return f"{one}: {whom}{proxied}"


def _users(settings: Settings) -> Iterator[str]:
    users = settings.users
    if not users.are_named:
        yield "nobody is asked: anybody may use it"
        return
    if users.given:
        yield f"on the command line: {', '.join(users.given)}"
    yield from (f"{path}: NAME:PASSWORD, one a line" for path in users.files)
    yield from (f"{path}: whoever has credentials that this secret issued, until they expire" for path in users.secret_files)
    if users.url:
        yield f"{shown_url(users.url)}: whoever it knows"
    if users.command:
        yield f"{' '.join(users.command)}: whoever it knows"
    yield f"realm {', '.join(settings.realms.names)}"


def _relays(settings: Settings, turn: TurnServerConfig) -> Iterator[str]:
    first, last = turn.relay_ports
    for one in turn.relay_addresses:
        told = "" if one.external is None else f", which clients are told as {one.told}"
        yield f"{one.host}, ports {first}-{last}{told}"
    if settings.workers > 1:
        with contextlib.suppress(ValueError):  # told as an error
            shares = ", ".join(f"{low}-{high}" for low, high in relay_port_shares(turn.relay_ports, settings.workers))
            yield f"shared by {settings.workers} workers: {shares}"
    yield f"publish them all, as in: docker run -p {first}-{last}:{first}-{last}/udp"
    if turn.tcp_relay:
        yield "peers over UDP and TCP (RFC 6062)"


def _peers(settings: Settings) -> Iterator[str]:
    yield "the public Internet"
    yield "not: private, loopback, link-local, multicast and all other special-purpose blocks, in every form of address"
    yield "not: the listeners of this server"
    yield from (f"also: {one} (--allow-peer)" for one in settings.allow)
    yield from (f"not: {one} (--deny-peer)" for one in settings.deny)


def _bounds(settings: Settings) -> Iterator[str]:
    limits = settings.limits
    yield f"{limits.allocations} allocations, {limits.allocations_per_user} of a user"
    if settings.turn is not None:
        yield f"an allocation lives {settings.turn.max_lifetime} seconds from one refresh to the next, at most"
    for who, rate in (("all users", limits.bytes_per_second), ("a user", limits.bytes_per_second_per_user)):
        yield f"{who}: {'any rate' if rate is None else f'{rate} bytes a second'}"
    default = attrs.asdict(TurnLimits())
    for name, value in attrs.asdict(limits).items():
        if name not in _SAID and value != default[name]:
            yield f"{name.replace('_', '-')}: {value}"
    yield f"others as they are by default; all that --limit NAME=VALUE takes: {', '.join(LIMITS)}"
    yield "those of a server that runs: sansice serve --control limits"
    if settings.workers > 1:
        yield f"totals are divided by {settings.workers} workers; what a user may have, he may have in each"


def _user_risks(settings: Settings) -> Iterator[str]:
    users = settings.users
    if settings.turn is not None and not users.are_named:
        yield "anybody may relay through this server, at your cost and in your name: name users"
    if users.given:
        yield "passwords on a command line can be seen by everybody on this machine: use --users FILE, or --config"
    if users.url and users.url.startswith("http://") and not _is_local(users.url):
        yield f"{shown_url(users.url)} sends passwords without encryption: use https"
    for path in (*users.files, *users.secret_files, *filter(None, (users.nonce_key, settings.tls_key))):
        try:
            mode = os.stat(path).st_mode
        except OSError:
            continue  # told as an error
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            yield f"{path} can be read by everybody on this machine: chmod 600 {path}"


def _is_local(url: str) -> bool:
    host = url.partition("//")[2].partition("/")[0].rpartition("@")[2]
    return host.startswith(("127.", "localhost", "[::1]"))


def _place_risks(settings: Settings) -> Iterator[str]:
    for name, place in (("--metrics", settings.metrics), ("--health", settings.health)):
        if place is not None and not ipaddress.ip_address(place.host).is_loopback:
            yield f"{name} {place} asks nobody for a password, and can be read by whoever reaches that address"
    for one in settings.listeners:
        if any(ipaddress.ip_network(network).prefixlen == 0 for network in one.trusted_proxies):
            yield f"--proxy-protocol trusts everybody to say who he is, at {one}"


def _peer_risks(settings: Settings, policy: PeerPolicy) -> Iterator[str]:
    told: set[str] = set()
    for host, words in _INTERESTING.items():
        if policy.opens(host) and policy.allows(host) and words not in told:
            told.add(words)
            yield f"--allow-peer lets users reach {words}"
    if told and settings.turn is not None and settings.turn.tcp_relay:
        yield "with --tcp-relay they may open TCP connections there"


def _relay_risks(settings: Settings, turn: TurnServerConfig) -> Iterator[str]:
    for one in turn.relay_addresses:
        address = ipaddress.ip_address(one.told.partition("%")[0])
        if not address.is_global:
            remedy = "behind a NAT say --external-address PUBLIC" if one.external is None else "--external-address says so"
            yield f"peers on the Internet cannot reach {one.told}: {remedy}"
    ports = turn.relay_ports[1] - turn.relay_ports[0] + 1
    room = ports * len(turn.relay_addresses)
    if room < settings.limits.allocations:
        yield f"{room} ports for {settings.limits.allocations} allocations: later ones are refused with 508"
    if settings.workers > 1 and ports < _MANY_PORTS * settings.workers:
        yield f"{ports} ports are few for {settings.workers} workers, who divide them"
    descriptors = descriptor_limit()
    wanted = settings.limits.allocations // settings.workers + _DESCRIPTORS
    if descriptors < wanted:
        yield f"{descriptors} file descriptors a process, and {wanted} wanted: raise the limit (LimitNOFILE= of systemd)"
