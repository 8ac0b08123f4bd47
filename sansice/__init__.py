"""sansice: NAT traversal as pure state machines.

This package is the contract; the protocols are `sansice.stun`, `sansice.ice` and the laboratory is
`sansice.simulation`. What runs machines on real sockets are the adapters, `sansice_trio` first.
"""

from .machine import (
    ANY_IPV4 as ANY_IPV4,
    ANY_IPV6 as ANY_IPV6,
    Action as Action,
    Address as Address,
    AddressRecord as AddressRecord,
    CloseMode as CloseMode,
    CloseSocket as CloseSocket,
    DecodeError as DecodeError,
    DropReason as DropReason,
    Entropy as Entropy,
    Event as Event,
    IcmpError as IcmpError,
    Ids as Ids,
    LocalProtocolError as LocalProtocolError,
    Machine as Machine,
    NaptrRecord as NaptrRecord,
    OpenSocket as OpenSocket,
    ProxyOptions as ProxyOptions,
    PublishName as PublishName,
    QueryId as QueryId,
    Record as Record,
    RecordKind as RecordKind,
    Resolve as Resolve,
    ResolveError as ResolveError,
    SendDatagram as SendDatagram,
    SendDatagrams as SendDatagrams,
    SendStream as SendStream,
    SetDontFragment as SetDontFragment,
    SetReading as SetReading,
    SocketError as SocketError,
    SocketErrorKind as SocketErrorKind,
    SocketId as SocketId,
    SocketOptions as SocketOptions,
    SrvRecord as SrvRecord,
    TlsOptions as TlsOptions,
    Transport as Transport,
    WithdrawName as WithdrawName,
)

__version__ = "0.1.0"
