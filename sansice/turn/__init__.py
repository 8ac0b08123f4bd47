"""TURN, RFC 8656: relayed addresses for clients that peers cannot reach; over TCP RFC 6062, mobile RFC 8016."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._async_connection import (
        AsyncNews as AsyncNews,
        AsyncTurnConnection as AsyncTurnConnection,
        AsyncTurnPeer as AsyncTurnPeer,
        AsyncTurnStream as AsyncTurnStream,
    )
    from ._channel_data import (
        FIRST_CHANNEL as FIRST_CHANNEL,
        LAST_CHANNEL as LAST_CHANNEL,
        ChannelData as ChannelData,
        encode_channel_data as encode_channel_data,
        read_channel_data_untrusted as read_channel_data_untrusted,
    )
    from ._client._client import (
        TurnClient as TurnClient,
    )
    from ._client._config import (
        TurnClientConfig as TurnClientConfig,
        through as through,
    )
    from ._client._events import (
        AllocateAttempt as AllocateAttempt,
        AllocationCreated as AllocationCreated,
        AllocationFailed as AllocationFailed,
        AllocationLost as AllocationLost,
        AllocationRebound as AllocationRebound,
        AllocationRefreshed as AllocationRefreshed,
        ChannelBound as ChannelBound,
        ChannelFailed as ChannelFailed,
        Closed as Closed,
        DataReceived as DataReceived,
        PeerUnreachable as PeerUnreachable,
        PermissionCreated as PermissionCreated,
        PermissionFailed as PermissionFailed,
        RebindFailed as RebindFailed,
    )
    from ._client._memory import (
        ServerWait as ServerWait,
        TurnServerMemory as TurnServerMemory,
    )
    from ._client._peer_stream import (
        PeerStreamId as PeerStreamId,
    )
    from ._client._routes import (
        MAX_DATA as MAX_DATA,
    )
    from ._client._states import (
        TurnClientState as TurnClientState,
    )
    from ._client._stats import (
        TurnClientStats as TurnClientStats,
    )
    from ._client._stream_events import (
        ConnectFailed as ConnectFailed,
        ConnectionAttempted as ConnectionAttempted,
        PeerConnected as PeerConnected,
        StreamLost as StreamLost,
        StreamReceived as StreamReceived,
        StreamSent as StreamSent,
    )
    from ._client._wish import (
        AllocateWish as AllocateWish,
        Family as Family,
    )
    from ._connection import (
        MAX_TURN_EVENTS as MAX_TURN_EVENTS,
        TURN_EVENTS as TURN_EVENTS,
        TurnConnectionBase as TurnConnectionBase,
        TurnCredentials as TurnCredentials,
        TurnPeerBase as TurnPeerBase,
        turn_credentials as turn_credentials,
    )
    from ._connection_streams import (
        READ_SIZE as READ_SIZE,
        TurnStreamBase as TurnStreamBase,
        pieces as pieces,
    )
    from ._embedded_addresses import (
        is_tunnelled as is_tunnelled,
    )
    from ._errors import (
        TurnClosed as TurnClosed,
        TurnError as TurnError,
        TurnLost as TurnLost,
        TurnStep as TurnStep,
        TurnWouldBlock as TurnWouldBlock,
    )
    from ._inbox import (
        MAX_QUEUED as MAX_QUEUED,
        MAX_QUEUED_BYTES as MAX_QUEUED_BYTES,
        Inbox as Inbox,
    )
    from ._peer_policy import (
        ANY_PEER as ANY_PEER,
        DEFAULT_PEER_POLICY as DEFAULT_PEER_POLICY,
        PeerPolicy as PeerPolicy,
    )
    from ._server._allocation import (
        AllocationId as AllocationId,
    )
    from ._server._config import (
        RelayAddress as RelayAddress,
        TurnServerConfig as TurnServerConfig,
    )
    from ._server._elsewhere import (
        DatagramsElsewhere as DatagramsElsewhere,
        StreamElsewhere as StreamElsewhere,
    )
    from ._server._events import (
        AllocationClosed as AllocationClosed,
        AllocationInfo as AllocationInfo,
        AllocationMoved as AllocationMoved,
        AllocationOpened as AllocationOpened,
        AllocationsDrained as AllocationsDrained,
        AllocationStats as AllocationStats,
        CloseReason as CloseReason,
        ResourcesExhausted as ResourcesExhausted,
        TurnServerState as TurnServerState,
    )
    from ._server._limits import (
        TurnLimits as TurnLimits,
        same_account as same_account,
    )
    from ._server._server import (
        TurnServer as TurnServer,
    )
    from ._server._stats import (
        TurnServerStats as TurnServerStats,
    )
    from ._service import (
        DEFAULT_REALM as DEFAULT_REALM,
        SERVICE_EVENTS as SERVICE_EVENTS,
        TurnServiceBase as TurnServiceBase,
        Users as Users,
        server_authentication as server_authentication,
    )

# Loaded when first asked for: a client needs nothing of the server, and the other way round.
_LAZY: dict[str, tuple[str, ...]] = {
    "_channel_data": (
        "FIRST_CHANNEL",
        "LAST_CHANNEL",
        "ChannelData",
        "encode_channel_data",
        "read_channel_data_untrusted",
    ),
    "_client._client": ("TurnClient",),
    "_client._config": ("TurnClientConfig", "through"),
    "_client._events": (
        "AllocateAttempt",
        "AllocationCreated",
        "AllocationFailed",
        "AllocationLost",
        "AllocationRebound",
        "AllocationRefreshed",
        "ChannelBound",
        "ChannelFailed",
        "Closed",
        "DataReceived",
        "PeerUnreachable",
        "PermissionCreated",
        "PermissionFailed",
        "RebindFailed",
    ),
    "_client._memory": (
        "ServerWait",
        "TurnServerMemory",
    ),
    "_client._peer_stream": ("PeerStreamId",),
    "_client._routes": ("MAX_DATA",),
    "_client._states": ("TurnClientState",),
    "_client._stats": ("TurnClientStats",),
    "_client._stream_events": (
        "ConnectFailed",
        "ConnectionAttempted",
        "PeerConnected",
        "StreamLost",
        "StreamReceived",
        "StreamSent",
    ),
    "_client._wish": (
        "AllocateWish",
        "Family",
    ),
    "_async_connection": (
        "AsyncNews",
        "AsyncTurnConnection",
        "AsyncTurnPeer",
        "AsyncTurnStream",
    ),
    "_connection": (
        "MAX_TURN_EVENTS",
        "TURN_EVENTS",
        "TurnConnectionBase",
        "TurnCredentials",
        "TurnPeerBase",
        "turn_credentials",
    ),
    "_connection_streams": (
        "READ_SIZE",
        "TurnStreamBase",
        "pieces",
    ),
    "_embedded_addresses": ("is_tunnelled",),
    "_inbox": (
        "MAX_QUEUED",
        "MAX_QUEUED_BYTES",
        "Inbox",
    ),
    "_peer_policy": (
        "ANY_PEER",
        "DEFAULT_PEER_POLICY",
        "PeerPolicy",
    ),
    "_errors": (
        "TurnClosed",
        "TurnError",
        "TurnLost",
        "TurnStep",
        "TurnWouldBlock",
    ),
    "_server._allocation": ("AllocationId",),
    "_server._config": (
        "RelayAddress",
        "TurnServerConfig",
    ),
    "_server._elsewhere": (
        "DatagramsElsewhere",
        "StreamElsewhere",
    ),
    "_server._events": (
        "AllocationClosed",
        "AllocationInfo",
        "AllocationMoved",
        "AllocationOpened",
        "AllocationsDrained",
        "AllocationStats",
        "CloseReason",
        "ResourcesExhausted",
        "TurnServerState",
    ),
    "_server._limits": (
        "TurnLimits",
        "same_account",
    ),
    "_server._server": ("TurnServer",),
    "_server._stats": ("TurnServerStats",),
    "_service": (
        "DEFAULT_REALM",
        "SERVICE_EVENTS",
        "TurnServiceBase",
        "Users",
        "server_authentication",
    ),
}
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names}

if not TYPE_CHECKING:  # pragma: no branch  (false for checkers alone: for them every name is there)

    def __getattr__(name: str) -> object:
        module = _MODULE_OF.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f".{module}", __name__), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULE_OF})
