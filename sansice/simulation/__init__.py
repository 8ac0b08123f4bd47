"""A laboratory for machines: networks, NATs and time in a box.

`Network` holds hosts, NATs and one virtual clock; it runs any machine of the contract unchanged, and the same
seed gives the same packets. Nothing here touches a real socket or a real clock.
"""

from ._contract._clauses import Call as Call, Clause as Clause, ContractBreach as ContractBreach
from ._contract._contract import check_machine as check_machine
from ._exploration._arena import Arena as Arena, MakeArena as MakeArena
from ._exploration._counterexample import Counterexample as Counterexample, replay_schedule as replay_schedule
from ._exploration._deviations import Deviation as Deviation, DeviationKind as DeviationKind
from ._exploration._evidence import End as End, InputKind as InputKind, Moment as Moment
from ._exploration._explore import DepthCoverage as DepthCoverage, Exploration as Exploration, explore as explore
from ._exploration._invariant import Harm as Harm, Invariant as Invariant, MakeInvariant as MakeInvariant
from ._exploration._invariants import INVARIANTS as INVARIANTS
from ._exploration._scenes import scene_arena as scene_arena
from ._exploration._trial import Breach as Breach, Run as Run
from ._library._library import scene as scene, scenes as scenes
from ._library._matrix import (
    MATRIX_FAMILIES as MATRIX_FAMILIES,
    MATRIX_KINDS as MATRIX_KINDS,
    MATRIX_TURNS as MATRIX_TURNS,
    MatrixCell as MatrixCell,
    matrix as matrix,
    matrix_scene as matrix_scene,
)
from ._nat._dns64 import Dns64 as Dns64
from ._nat._firewall import Firewall as Firewall
from ._nat._firewall_kind import (
    Direction as Direction,
    FirewallKind as FirewallKind,
    Rule as Rule,
    Verdict as Verdict,
)
from ._nat._forwards import Forward as Forward
from ._nat._kind import (
    Filtering as Filtering,
    FragmentPolicy as FragmentPolicy,
    Hairpinning as Hairpinning,
    Mapping as Mapping,
    NatKind as NatKind,
    NatMapping as NatMapping,
    Pooling as Pooling,
    PortAssignment as PortAssignment,
    Refresh as Refresh,
    TcpTimeouts as TcpTimeouts,
    Tracking as Tracking,
    UnsolicitedSyn as UnsolicitedSyn,
)
from ._nat._nat import Nat as Nat
from ._nat._nat64 import Nat64Prefix as Nat64Prefix
from ._nat._presets import FIREWALL_PRESETS as FIREWALL_PRESETS, NAT_PRESETS as NAT_PRESETS
from ._network import Network as Network
from ._oracle._compare import disagreement as disagreement
from ._oracle._predict import predict as predict
from ._oracle._prediction import (
    OracleRule as OracleRule,
    PredictedCouple as PredictedCouple,
    PredictedOutcome as PredictedOutcome,
    PredictedPair as PredictedPair,
    Prediction as Prediction,
)
from ._oracle._random_scene import Choose as Choose, random_scene as random_scene
from ._recording._difference import FieldDifference as FieldDifference, ReplayDifference as ReplayDifference
from ._recording._file import RecordingFile as RecordingFile
from ._recording._format import RecordingError as RecordingError
from ._recording._recorded import Recorded as Recorded
from ._recording._recording import Recording as Recording
from ._recording._replay import (
    Replay as Replay,
    ReplayReport as ReplayReport,
    replay as replay,
    replay_file as replay_file,
)
from ._recording._scrub import ScrubError as ScrubError, scrub as scrub, scrub_file as scrub_file
from ._recording._step import Made as Made, Step as Step
from ._recording._stored import StoredRecording as StoredRecording, read_recording as read_recording
from ._recording._tap import Tap as Tap
from ._records._capture import Capture as Capture
from ._records._changes import changes_in_words as changes_in_words
from ._records._story import STORY_LIMIT as STORY_LIMIT, Story as Story
from ._responder import BindingResponder as BindingResponder
from ._scene._changes import (
    AgentRestarted as AgentRestarted,
    At as At,
    HostSlept as HostSlept,
    InterfaceDown as InterfaceDown,
    InterfaceReaddressed as InterfaceReaddressed,
    InterfaceUp as InterfaceUp,
    LinkChanged as LinkChanged,
    NatRebooted as NatRebooted,
    ServerRebooted as ServerRebooted,
)
from ._scene._parts import (
    AgentSpec as AgentSpec,
    Expectation as Expectation,
    FirewallSpec as FirewallSpec,
    HostSpec as HostSpec,
    InterfaceSpec as InterfaceSpec,
    NameSpec as NameSpec,
    NatSpec as NatSpec,
    NominationKind as NominationKind,
    ProxySpec as ProxySpec,
    RouterSpec as RouterSpec,
    SegmentSpec as SegmentSpec,
    StunServerSpec as StunServerSpec,
    TrafficSpec as TrafficSpec,
)
from ._scene._program import Program as Program
from ._scene._relays import RelayCallSpec as RelayCallSpec, TurnServerSpec as TurnServerSpec
from ._scene._scene import Scene as Scene
from ._scene._scene_run import SceneRun as SceneRun
from ._scene._scene_world import SceneWorld as SceneWorld
from ._scene._simulate import simulate as simulate
from ._sweep._answers import SweepAnswer as SweepAnswer, run_sweep as run_sweep
from ._sweep._parameters import SWEEP_PARAMETERS as SWEEP_PARAMETERS, SweepParameter as SweepParameter
from ._sweep._reading import read_sweep as read_sweep
from ._sweep._sweep import NatCouple as NatCouple, Sweep as Sweep, SweepPoint as SweepPoint
from ._world._bursts import Bursts as Bursts
from ._world._clock import SimulationError as SimulationError
from ._world._host import Host as Host
from ._world._host_interface import HostInterface as HostInterface
from ._world._link import Link as Link
from ._world._names import NameService as NameService, Resolver as Resolver
from ._world._node import Node as Node
from ._world._packets import (
    Fate as Fate,
    Fragment as Fragment,
    Packet as Packet,
    Passage as Passage,
    TcpFlags as TcpFlags,
    TcpSegment as TcpSegment,
)
from ._world._proxy import ForwardProxy as ForwardProxy
from ._world._reads import StreamReads as StreamReads
from ._world._router import Router as Router
from ._world._segment import Interface as Interface, Place as Place, Segment as Segment
from ._world._tcp import TcpConnection as TcpConnection, TcpState as TcpState, TcpUser as TcpUser
from ._world._tcp_ports import (
    TcpAcceptor as TcpAcceptor,
    TcpListener as TcpListener,
    TcpPorts as TcpPorts,
    TcpReservation as TcpReservation,
)
