"""DNS look-ups: the answer to a machine's `Resolve`.

Addresses come from the system (hosts file, search rules, mDNS where it is set up), but those of names that conceal an
address, as browsers make them, from the mDNS of this process; SRV and NAPTR records, which `socket.getaddrinfo` does not
know, from dnspython. All block, so adapters run `look_up` in threads: trio in its own, the others in those of `LookUps`.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sansice.machine import (
    Address,
    AddressRecord,
    NaptrRecord,
    Record,
    RecordKind,
    Resolve,
    ResolveError,
    SrvRecord,
)

from ._addresses import from_sockaddr

if TYPE_CHECKING:
    import dns.resolver

Answer: TypeAlias = tuple[Record, ...] | ResolveError

LIFETIME = 10.0  # seconds for all tries with all name servers: resolv.conf(5) has 5 s a try, and machines give up later
MAX_RECORDS = 32  # of one answer: a hostile zone holds thousands over TCP, and no client would live to try them
MAX_THREADS = 16  # looking up at once in one process: a dead name server holds each for as long as it takes

_FAMILIES = {RecordKind.A: socket.AF_INET, RecordKind.AAAA: socket.AF_INET6}
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def look_up(action: Resolve, *, nameservers: Sequence[Address] | None = None, lifetime: float = LIFETIME) -> Answer:
    """Answer a question. Blocks; raises nothing.

    Without dnspython nobody is known to have SRV or NAPTR records (`ResolveError.NOT_FOUND`), so that resolution goes
    on with addresses and default ports.

    Args:
        action: what the machine wants to know.
        nameservers: ask these, over UDP and then TCP, for every kind of record; ``None`` for those of the system. No name server
            is ever asked for a name that conceals an address (RFC 6762 3).
        lifetime: seconds after which a name server has not answered. The system has a time limit of its own for addresses.

    Returns:
        At most `MAX_RECORDS` records, with their times to live where DNS told them and otherwise 0; never none.
    """
    family = _FAMILIES.get(action.kind)
    if family is not None and _is_concealing(action.name):
        return _ask_link(action, lifetime)
    if family is None or nameservers is not None:
        return _ask_dns(action, nameservers, lifetime)
    return _ask_system(action.name, family)


# ------------------------------------------------------------------- addresses, by who is on the link


def _is_concealing(name: str) -> bool:
    if not name.lower().endswith(".local"):
        return False
    from sansice.ice import is_concealing_name  # here, because most names are others

    return is_concealing_name(name)


def _ask_link(action: Resolve, lifetime: float) -> Answer:
    answers: list[Answer] = []
    arrived = threading.Event()

    def keep(_: Resolve, answer: Answer) -> None:
        answers.append(answer)
        arrived.set()

    _find_on_link(action, keep)
    return answers[0] if arrived.wait(lifetime) else ResolveError.TIMEOUT


def _find_on_link(action: Resolve, answer: Callable[[Resolve, Answer], None]) -> None:
    """Ask for a name by multicast (RFC 6762 3: such names are never asked of a name server)."""
    from ._link_names import find_on_link

    def found(host: str | None) -> None:
        fits = host is not None and (":" in host) == (action.kind is RecordKind.AAAA)
        answer(action, (AddressRecord(host),) if host is not None and fits else ResolveError.NOT_FOUND)

    try:
        find_on_link(action.name, found)
    except (OSError, ModuleNotFoundError):  # without its interfaces a machine has no link
        _WORKERS.submit(lambda: answer(action, ResolveError.FAILURE))


# ------------------------------------------------------------------- addresses, by the system


def _ask_system(name: str, family: socket.AddressFamily) -> Answer:
    try:
        return address_records(socket.getaddrinfo(name, None, family, socket.SOCK_DGRAM))
    except (OSError, UnicodeError) as error:
        return look_up_error(error)


def address_records(found: Iterable[tuple[Any, ...]]) -> tuple[AddressRecord, ...]:
    """The records that an answer of ``getaddrinfo`` stands for."""
    hosts = dict.fromkeys(from_sockaddr(info[4]).host for info in found)
    return tuple(AddressRecord(host) for host in [*hosts][:MAX_RECORDS])


def look_up_error(error: Exception) -> ResolveError:
    """What a machine is told of an exception of ``getaddrinfo``."""
    if not isinstance(error, socket.gaierror):
        return ResolveError.FAILURE
    if error.errno in _NO_SUCH_NAME:
        return ResolveError.NOT_FOUND
    return ResolveError.TIMEOUT if error.errno == socket.EAI_AGAIN else ResolveError.FAILURE


# ------------------------------------------------------------------- the rest, by dnspython


def _ask_dns(action: Resolve, nameservers: Sequence[Address] | None, lifetime: float) -> Answer:
    try:
        import dns.exception
        import dns.resolver
    except ModuleNotFoundError:
        return ResolveError.NOT_FOUND
    try:
        resolver = _resolver(nameservers)
        found: Any = resolver.resolve(f"{action.name.rstrip('.')}.", action.kind.value, lifetime=lifetime, search=False)
        return tuple(_record(data, found.rrset.ttl) for data in [*found.rrset][:MAX_RECORDS])
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ResolveError.NOT_FOUND
    except dns.exception.Timeout:
        return ResolveError.TIMEOUT
    except (dns.exception.DNSException, OSError, ValueError):  # SERVFAIL, REFUSED, a malformed answer or name, no resolv.conf
        return ResolveError.FAILURE


def _resolver(nameservers: Sequence[Address] | None) -> dns.resolver.Resolver:
    import dns.nameserver
    import dns.resolver

    resolver = dns.resolver.Resolver(configure=nameservers is None)
    if nameservers is not None:
        resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in nameservers]
    return resolver


def _record(data: Any, ttl: int) -> Record:
    match data.rdtype.name:
        case "SRV":
            return SrvRecord(data.priority, data.weight, data.port, _name(data.target), ttl)
        case "NAPTR":
            flags, service, regexp = (text.decode("utf-8", "replace") for text in (data.flags, data.service, data.regexp))
            return NaptrRecord(data.order, data.preference, flags, service, regexp, _name(data.replacement), ttl)
        case _:
            return AddressRecord(Address.of(data.address, 0).host, ttl)


def _name(name: Any) -> str:
    text: str = name.to_text(omit_final_dot=True).lower()
    return text  # "." for the root, which says that there is none (RFC 2782)


# ------------------------------------------------------------------- in threads


class LookUps:
    """The look-ups of one driver, in threads, for runtimes that have none of their own for it.

    Args:
        answer: called with the question and its answer, in one of those threads, or that of mDNS.
        nameservers: as for `look_up`.
    """

    __slots__ = ("_answer", "_nameservers")

    def __init__(self, answer: Callable[[Resolve, Answer], None], *, nameservers: Sequence[Address] | None = None) -> None:
        self._answer: Callable[[Resolve, Answer], None] | None = answer
        self._nameservers = nameservers

    def start(self, action: Resolve) -> None:
        """Look up, and answer. No more than `MAX_THREADS` look-ups of the process run at once; the others wait.

        A name that conceals an address needs no thread, and does not wait for others.
        """
        if action.kind in _FAMILIES and _is_concealing(action.name):
            _find_on_link(action, self._tell)
        else:
            _WORKERS.submit(lambda: self._look_up(action))

    def close(self) -> None:
        """Answer no more. A look-up that has begun cannot be stopped: its thread ends when the system answers."""
        self._answer = None

    def _look_up(self, action: Resolve) -> None:
        if self._answer is None:
            return
        self._tell(action, look_up(action, nameservers=self._nameservers))

    def _tell(self, action: Resolve, found: Answer) -> None:
        answer = self._answer
        if answer is not None:
            answer(action, found)


class _Workers:
    """A few daemon threads, which end when there is nothing to do: an interpreter that exits waits for none of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._threads: set[threading.Thread] = set()

    def submit(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._waiting.append(job)
            self._threads = {thread for thread in self._threads if thread.is_alive()}  # none is, in the child of a fork
            if len(self._threads) < MAX_THREADS:
                thread = threading.Thread(target=self._work, name="sansice look-up", daemon=True)
                thread.start()
                self._threads.add(thread)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads.discard(threading.current_thread())
                    return
                job = self._waiting.popleft()
            job()


_WORKERS = _Workers()
