"""STUN, RFC 8489: messages, transactions, authentication, client, server, and NAT behaviour discovery (RFC 5780).

`decode_untrusted` reads a message from the network, `encode` and `Template` build one, `StunTransaction` sends a
request until it is answered. Attributes are constants, and typed: ``message.get(PRIORITY)`` is an ``int``.
`StunClient`, `BindingLookup`, `StunServer` and `BehaviorDiscovery` are the machines that programs run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from . import shapes as shapes
from ._attributes import (
    ACCESS_TOKEN as ACCESS_TOKEN,
    ADDITIONAL_ADDRESS_FAMILY as ADDITIONAL_ADDRESS_FAMILY,
    ADDRESS_ERROR_CODE as ADDRESS_ERROR_CODE,
    ALTERNATE_DOMAIN as ALTERNATE_DOMAIN,
    ALTERNATE_SERVER as ALTERNATE_SERVER,
    CACHE_TIMEOUT as CACHE_TIMEOUT,
    CHANGE_REQUEST as CHANGE_REQUEST,
    CHANGED_ADDRESS as CHANGED_ADDRESS,
    CHANNEL_NUMBER as CHANNEL_NUMBER,
    CONNECTION_ID as CONNECTION_ID,
    DATA as DATA,
    DONT_FRAGMENT as DONT_FRAGMENT,
    ECN_CHECK as ECN_CHECK,
    ERROR_CODE as ERROR_CODE,
    EVEN_PORT as EVEN_PORT,
    FINGERPRINT as FINGERPRINT,
    ICE_CONTROLLED as ICE_CONTROLLED,
    ICE_CONTROLLING as ICE_CONTROLLING,
    ICMP as ICMP,
    LIFETIME as LIFETIME,
    MAPPED_ADDRESS as MAPPED_ADDRESS,
    MESSAGE_INTEGRITY as MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256 as MESSAGE_INTEGRITY_SHA256,
    MOBILITY_TICKET as MOBILITY_TICKET,
    NONCE as NONCE,
    ORIGIN as ORIGIN,
    OTHER_ADDRESS as OTHER_ADDRESS,
    PADDING as PADDING,
    PASSWORD_ALGORITHM as PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS as PASSWORD_ALGORITHMS,
    PRIORITY as PRIORITY,
    REALM as REALM,
    REFLECTED_FROM as REFLECTED_FROM,
    REQUESTED_ADDRESS_FAMILY as REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT as REQUESTED_TRANSPORT,
    RESERVATION_TOKEN as RESERVATION_TOKEN,
    RESPONSE_ADDRESS as RESPONSE_ADDRESS,
    RESPONSE_ORIGIN as RESPONSE_ORIGIN,
    RESPONSE_PORT as RESPONSE_PORT,
    SOFTWARE as SOFTWARE,
    SOURCE_ADDRESS as SOURCE_ADDRESS,
    SSODA_ADDRESS_FAMILY as SSODA_ADDRESS_FAMILY,
    THIRD_PARTY_AUTHORIZATION as THIRD_PARTY_AUTHORIZATION,
    TRANSACTION_TRANSMIT_COUNTER as TRANSACTION_TRANSMIT_COUNTER,
    UNKNOWN_ATTRIBUTES as UNKNOWN_ATTRIBUTES,
    USE_CANDIDATE as USE_CANDIDATE,
    USERHASH as USERHASH,
    USERNAME as USERNAME,
    XOR_MAPPED_ADDRESS as XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS as XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS as XOR_RELAYED_ADDRESS,
    Attribute as Attribute,
    register as register,
)
from ._demux import (
    Protocol as Protocol,
    demultiplex as demultiplex,
)
from ._encoding import (
    Template as Template,
    encode as encode,
)
from ._header import (
    COOKIE as COOKIE,
    HEADER_LENGTH as HEADER_LENGTH,
    MessageClass as MessageClass,
    Method as Method,
    TransactionId as TransactionId,
    is_stun as is_stun,
    new_transaction_id as new_transaction_id,
)
from ._integrity import (
    IntegrityAlgorithm as IntegrityAlgorithm,
    IntegrityKey as IntegrityKey,
    long_term_key as long_term_key,
    short_term_key as short_term_key,
    userhash as userhash,
)
from ._message import (
    MAX_ATTRIBUTES as MAX_ATTRIBUTES,
    Message as Message,
    decode_untrusted as decode_untrusted,
)
from ._opaque_string import (
    PrecisRequiredError as PrecisRequiredError,
    opaque_string as opaque_string,
)
from ._rto import (
    RtoCache as RtoCache,
    RttEstimator as RttEstimator,
)
from ._schedule import (
    Schedule as Schedule,
)
from ._security import (
    PASSWORD_MD5 as PASSWORD_MD5,
    PASSWORD_SHA256 as PASSWORD_SHA256,
    AlgorithmChoice as AlgorithmChoice,
    SecurityFeatures as SecurityFeatures,
    first_supported as first_supported,
    nonce_cookie as nonce_cookie,
    nonce_features as nonce_features,
    strongest_supported as strongest_supported,
)
from ._transaction import (
    FailureCause as FailureCause,
    StunTransaction as StunTransaction,
    TransactionFailed as TransactionFailed,
    TransactionState as TransactionState,
    TransactionSucceeded as TransactionSucceeded,
    TransactionTimedOut as TransactionTimedOut,
)
from ._uri import (
    DEFAULT_PORT as DEFAULT_PORT,
    DEFAULT_SECURE_PORT as DEFAULT_SECURE_PORT,
    ServerUri as ServerUri,
)
from ._values import (
    AddressErrorCode as AddressErrorCode,
    AddressFamily as AddressFamily,
    ChangeRequest as ChangeRequest,
    ErrorCode as ErrorCode,
    Icmp as Icmp,
    PasswordAlgorithm as PasswordAlgorithm,
    TransmitCounter as TransmitCounter,
)

if TYPE_CHECKING:
    from ._alpn import (
        ALPN_NAT_DISCOVERY as ALPN_NAT_DISCOVERY,
        ALPN_TURN as ALPN_TURN,
    )
    from ._authentication._client import (
        MAX_CHALLENGES as MAX_CHALLENGES,
        ClientAuthentication as ClientAuthentication,
        Protection as Protection,
        Verdict as Verdict,
    )
    from ._authentication._credentials import (
        AccessToken as AccessToken,
        Credentials as Credentials,
        LongTermCredentials as LongTermCredentials,
        ShortTermCredentials as ShortTermCredentials,
    )
    from ._authentication._nonce import (
        NONCE_LIFETIME as NONCE_LIFETIME,
        NonceIssuer as NonceIssuer,
        NonceState as NonceState,
    )
    from ._authentication._server import (
        Authenticated as Authenticated,
        AuthenticationResult as AuthenticationResult,
        Awaiting as Awaiting,
        Ignored as Ignored,
        Rejected as Rejected,
        ServerAuthentication as ServerAuthentication,
        ShortTermServerAuthentication as ShortTermServerAuthentication,
    )
    from ._authentication._session import (
        Session as Session,
    )
    from ._authentication._third_party import (
        ThirdPartyServerAuthentication as ThirdPartyServerAuthentication,
    )
    from ._authentication._token import (
        TOKEN_DELTA as TOKEN_DELTA,
        TokenContents as TokenContents,
        TokenKey as TokenKey,
        decode_token_untrusted as decode_token_untrusted,
        encode_token as encode_token,
    )
    from ._authentication._token_cipher import (
        CryptographyRequiredError as CryptographyRequiredError,
        TokenAlgorithm as TokenAlgorithm,
        TokenCipher as TokenCipher,
    )
    from ._authentication._user_keys import (
        PENDING as PENDING,
        Found as Found,
        LookupKey as LookupKey,
        PasswordFile as PasswordFile,
        Pending as Pending,
        StaticUsers as StaticUsers,
        TimeLimitedSecrets as TimeLimitedSecrets,
        UserKeys as UserKeys,
    )
    from ._behavior._config import (
        BehaviorConfig as BehaviorConfig,
    )
    from ._behavior._discovery import (
        DEFAULT_BEHAVIOR_TESTS as DEFAULT_BEHAVIOR_TESTS,
        MAPPING_LIFETIME_LIMIT as MAPPING_LIFETIME_LIMIT,
        BehaviorDiscovery as BehaviorDiscovery,
        BehaviorState as BehaviorState,
        BehaviorStats as BehaviorStats,
    )
    from ._behavior._events import (
        AlgDetected as AlgDetected,
        BehaviorDiscovered as BehaviorDiscovered,
        BehaviorFailed as BehaviorFailed,
        BehaviorProgressed as BehaviorProgressed,
        FilteringDiscovered as FilteringDiscovered,
        FragmentsDiscovered as FragmentsDiscovered,
        HairpinningDiscovered as HairpinningDiscovered,
        LifetimeDiscovered as LifetimeDiscovered,
        LifetimeNarrowed as LifetimeNarrowed,
        MappingDiscovered as MappingDiscovered,
        TestUnavailable as TestUnavailable,
    )
    from ._behavior._nat_behavior import (
        FragmentHandling as FragmentHandling,
        NatBehavior as NatBehavior,
    )
    from ._behavior._nat_verdict import (
        direct_path as direct_path,
    )
    from ._behavior._nat_words import (
        BehaviorTest as BehaviorTest,
        ClassicType as ClassicType,
        FilteringBehavior as FilteringBehavior,
        MappingBehavior as MappingBehavior,
        ServerKind as ServerKind,
    )
    from ._client._client import (
        StunClient as StunClient,
        StunClientStats as StunClientStats,
    )
    from ._client._config import (
        StunClientConfig as StunClientConfig,
    )
    from ._client._lookup import (
        ATTEMPT_DELAY as ATTEMPT_DELAY,
        LOOKUP_TIMEOUT as LOOKUP_TIMEOUT,
        BindingLookup as BindingLookup,
        BindingLookupFailed as BindingLookupFailed,
        FailedAttempt as FailedAttempt,
        LookupState as LookupState,
        MappedAddressDiscovered as MappedAddressDiscovered,
    )
    from ._client._redirects import (
        Redirected as Redirected,
    )
    from ._errors import (
        LookupStep as LookupStep,
        StunError as StunError,
    )
    from ._framing import (
        MAX_RFC4571_FRAME as MAX_RFC4571_FRAME,
        MAX_STUN_FRAME as MAX_STUN_FRAME,
        MAX_TURN_FRAME as MAX_TURN_FRAME,
        Rfc4571Framer as Rfc4571Framer,
        StreamFramer as StreamFramer,
        frame_rfc4571 as frame_rfc4571,
    )
    from ._http_proxy import (
        HttpProxy as HttpProxy,
        as_proxy as as_proxy,
    )
    from ._paths import (
        IndicationReceived as IndicationReceived,
        Path as Path,
        PathClosed as PathClosed,
        PathOpened as PathOpened,
        RequestReceived as RequestReceived,
    )
    from ._resolution._proxied import ProxiedResolution as ProxiedResolution
    from ._resolution._resolution import (
        ResolutionFailed as ResolutionFailed,
        ResolutionState as ResolutionState,
        ServerResolution as ServerResolution,
        ServerResolved as ServerResolved,
    )
    from ._resolution._rules import (
        ServerTarget as ServerTarget,
    )
    from ._server._answerer import (
        AMPLIFICATION as AMPLIFICATION,
    )
    from ._server._config import (
        Listener as Listener,
        StunServerConfig as StunServerConfig,
    )
    from ._server._events import (
        CredentialRequested as CredentialRequested,
        FrameReceived as FrameReceived,
        ListenerFailed as ListenerFailed,
        ListenerOpened as ListenerOpened,
        RequestId as RequestId,
        ServerDrained as ServerDrained,
        ServerReady as ServerReady,
        ServerState as ServerState,
        StreamClosed as StreamClosed,
    )
    from ._server._listening import (
        Authentication as Authentication,
        Authentications as Authentications,
    )
    from ._server._rate_limit import (
        Allowance as Allowance,
    )
    from ._server._server import (
        StunServer as StunServer,
    )
    from ._server._stats import (
        StunServerStats as StunServerStats,
    )
    from ._service import (
        MakeServiceDriver as MakeServiceDriver,
        ServiceDriver as ServiceDriver,
        StunServiceBase as StunServiceBase,
        mapped_address as mapped_address,
        nat_behavior as nat_behavior,
        parse_listeners as parse_listeners,
    )
    from ._sizes import (
        size_budget as size_budget,
    )

# Loaded when first asked for: an ICE agent needs none of it, and it takes longer to import than ICE itself.
_LAZY: dict[str, tuple[str, ...]] = {
    "_alpn": (
        "ALPN_NAT_DISCOVERY",
        "ALPN_TURN",
    ),
    "_behavior._discovery": (
        "DEFAULT_BEHAVIOR_TESTS",
        "MAPPING_LIFETIME_LIMIT",
        "BehaviorDiscovery",
        "BehaviorState",
        "BehaviorStats",
    ),
    "_behavior._config": ("BehaviorConfig",),
    "_behavior._events": (
        "AlgDetected",
        "BehaviorDiscovered",
        "BehaviorFailed",
        "BehaviorProgressed",
        "FilteringDiscovered",
        "FragmentsDiscovered",
        "HairpinningDiscovered",
        "LifetimeDiscovered",
        "LifetimeNarrowed",
        "MappingDiscovered",
        "TestUnavailable",
    ),
    "_client._client": (
        "StunClient",
        "StunClientStats",
    ),
    "_authentication._client": (
        "MAX_CHALLENGES",
        "ClientAuthentication",
        "Protection",
        "Verdict",
    ),
    "_client._config": ("StunClientConfig",),
    "_authentication._credentials": (
        "AccessToken",
        "Credentials",
        "LongTermCredentials",
        "ShortTermCredentials",
    ),
    "_errors": (
        "LookupStep",
        "StunError",
    ),
    "_framing": (
        "MAX_RFC4571_FRAME",
        "MAX_STUN_FRAME",
        "MAX_TURN_FRAME",
        "Rfc4571Framer",
        "StreamFramer",
        "frame_rfc4571",
    ),
    "_client._lookup": (
        "ATTEMPT_DELAY",
        "LOOKUP_TIMEOUT",
        "BindingLookup",
        "BindingLookupFailed",
        "FailedAttempt",
        "LookupState",
        "MappedAddressDiscovered",
    ),
    "_behavior._nat_behavior": (
        "FragmentHandling",
        "NatBehavior",
    ),
    "_behavior._nat_verdict": ("direct_path",),
    "_behavior._nat_words": (
        "BehaviorTest",
        "ClassicType",
        "FilteringBehavior",
        "MappingBehavior",
        "ServerKind",
    ),
    "_authentication._nonce": (
        "NONCE_LIFETIME",
        "NonceIssuer",
        "NonceState",
    ),
    "_paths": (
        "IndicationReceived",
        "Path",
        "PathClosed",
        "PathOpened",
        "RequestReceived",
    ),
    "_client._redirects": ("Redirected",),
    "_http_proxy": ("HttpProxy", "as_proxy"),
    "_resolution._proxied": ("ProxiedResolution",),
    "_resolution._resolution": (
        "ResolutionFailed",
        "ResolutionState",
        "ServerResolution",
        "ServerResolved",
    ),
    "_resolution._rules": ("ServerTarget",),
    "_server._server": ("StunServer",),
    "_authentication._server": (
        "Authenticated",
        "AuthenticationResult",
        "Awaiting",
        "Ignored",
        "Rejected",
        "ServerAuthentication",
        "ShortTermServerAuthentication",
    ),
    "_server._answerer": ("AMPLIFICATION",),
    "_server._config": (
        "Listener",
        "StunServerConfig",
    ),
    "_server._events": (
        "CredentialRequested",
        "FrameReceived",
        "ListenerFailed",
        "ListenerOpened",
        "RequestId",
        "ServerDrained",
        "ServerReady",
        "ServerState",
        "StreamClosed",
    ),
    "_server._listening": (
        "Authentication",
        "Authentications",
    ),
    "_server._rate_limit": ("Allowance",),
    "_server._stats": ("StunServerStats",),
    "_service": (
        "MakeServiceDriver",
        "ServiceDriver",
        "StunServiceBase",
        "mapped_address",
        "nat_behavior",
        "parse_listeners",
    ),
    "_sizes": ("size_budget",),
    "_authentication._session": ("Session",),
    "_authentication._third_party": ("ThirdPartyServerAuthentication",),
    "_authentication._token": (
        "TOKEN_DELTA",
        "TokenContents",
        "TokenKey",
        "decode_token_untrusted",
        "encode_token",
    ),
    "_authentication._token_cipher": (
        "CryptographyRequiredError",
        "TokenAlgorithm",
        "TokenCipher",
    ),
    "_authentication._user_keys": (
        "PENDING",
        "Found",
        "LookupKey",
        "PasswordFile",
        "Pending",
        "StaticUsers",
        "TimeLimitedSecrets",
        "UserKeys",
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
