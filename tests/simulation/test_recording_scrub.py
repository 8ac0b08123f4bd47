"""Scrubbed recordings: no secret is left in any form, and they replay."""

import base64
import re

import pytest

from sansice.ice import Credentials, Description, IceAgent
from sansice.machine import Address, DropReason, Machine, SendDatagram, SocketId, Transport
from sansice.simulation import (
    Network,
    Recorded,
    Recording,
    RecordingFile,
    ReplayDifference,
    ScrubError,
    read_recording,
    replay,
    replay_file,
    scrub,
    scrub_file,
)
from sansice.stun import (
    DATA,
    NONCE,
    SOFTWARE,
    AccessToken,
    BindingLookup,
    Listener,
    LongTermCredentials,
    MessageClass,
    Method,
    RequestReceived,
    ServerAuthentication,
    ShortTermCredentials,
    ShortTermServerAuthentication,
    StaticUsers,
    StunServer,
    ThirdPartyServerAuthentication,
    TokenContents,
    TokenKey,
    TransactionId,
    decode_untrusted,
    encode,
    encode_token,
    long_term_key,
    short_term_key,
)

ONE, HERE = SocketId(1), Address("192.0.2.1", 1)
SAID = b"\x80 what the two said to each other"


def forms_of(secret):
    """A secret as it may stand in a file."""
    raw = secret.encode() if isinstance(secret, str) else secret
    # Base64 of the same bytes looks different at each of three offsets.
    encoded = [base64.b64encode(bytes(pad) + raw)[4:-4] for pad in range(3)]
    return [raw, raw.hex().encode(), raw.hex().upper().encode(), *encoded]


def leaks(data, secrets):
    text = data if isinstance(data, bytes) else data.to_json_lines().encode()
    return [secret for secret in secrets if any(form in text for form in forms_of(secret) if len(form) > 5)]


def session(make, credentials=(None, None)):
    """Two agents that connect, talk and close; what each was made by ``make(name, entropy)``."""
    net = Network(seed=7, latency=0.02, loss=0.1)
    net.stun_server("192.0.2.10")
    sinks, agents, nodes = [], [], []
    for name, outer, given in (("A", "203.0.113.1", credentials[0]), ("B", "203.0.113.2", credentials[1])):
        host = net.host(name, "10.0.0.2", behind=net.nat(outer))
        sinks.append(make(name, host.entropy))
        agents.append(sinks[-1].make(IceAgent, controlling=name == "A", servers=["stun:192.0.2.10"], credentials=given))
        nodes.append(host.run(agents[-1]))
        nodes[-1].call(agents[-1].gather, list(host.addresses))
    net.run(until=5.0)
    for node, agent, other in zip(nodes, agents, reversed(agents), strict=True):
        node.call(agent.set_remote, other.local_description)
    assert net.run(until=60.0, when=lambda: all(agent.selected_pair for agent in agents))
    for _ in range(20):
        for node, agent in zip(nodes, agents, strict=True):
            node.call(agent.send, SAID, stream=0, component=1)
        net.run(until=net.now + 1.0)
    for node, agent in zip(nodes, agents, strict=True):
        node.call(agent.close)
    return agents, sinks


# ---------------------------------------------------------------- agents


def test_a_scrubbed_session_replays_and_has_neither_passwords_nor_data():
    agents, recordings = session(lambda name, entropy: Recording(entropy))
    secrets = [agents[0].credentials.pwd, agents[1].credentials.pwd, SAID[1:]]
    for agent, recording in zip(agents, recordings, strict=True):
        # The peer's password is there, or looking for it would show nothing; the agent's own is there as entropy only.
        assert len(leaks(recording, secrets)) == 2
        scrubbed = scrub(recording)
        assert leaks(scrubbed, secrets) == []
        again = replay(scrubbed)
        assert again.selected_pair == agent.selected_pair
        assert repr(again.stats) == repr(agent.stats)
        assert again.credentials.ufrag == agent.credentials.ufrag
        assert again.credentials.pwd != agent.credentials.pwd
        assert [step.method for step in scrubbed.steps] == [step.method for step in recording.steps]
        assert len(scrubbed.to_json_lines()) == len(recording.to_json_lines())


def test_the_entropy_that_made_a_password_is_replaced_and_no_other():
    _, (recording, _) = session(lambda name, entropy: Recording(entropy))
    scrubbed = scrub(recording)
    old, new = (b"".join(map(bytes.fromhex, one.steps[0].drawn)) for one in (recording, scrubbed))
    assert old[:8] == new[:8]  # the user name fragment
    assert sum(one == other for one, other in zip(old[8:32], new[8:32], strict=True)) < 4
    assert old[32:] == new[32:]  # the tiebreaker, which the peer was told
    assert [step.drawn for step in scrubbed.steps[1:]] == [step.drawn for step in recording.steps[1:]]


def test_credentials_that_were_given_are_replaced_in_the_construction():
    pwd = "given-by-the-application".replace("-", "+")
    agents, (recording, _) = session(lambda name, entropy: Recording(entropy), (Credentials("ufrag", pwd), None))
    assert agents[0].credentials.pwd == pwd
    scrubbed = scrub(recording)
    assert leaks(scrubbed, [pwd]) == []
    assert scrubbed.made.keywords["credentials"]["fields"]["pwd"] == {"secret": "scrubbed0".ljust(len(pwd), "x")}
    assert replay(scrubbed).selected_pair == agents[0].selected_pair


def test_a_scrubbed_recording_can_be_scrubbed_again():
    _, (recording, _) = session(lambda name, entropy: Recording(entropy))
    once = scrub(recording)
    assert repr(replay(scrub(once)).stats) == repr(replay(once).stats)


def test_scrubbing_tells_nothing_of_the_secret():
    """Two recordings that differ in nothing but the password are one when scrubbed."""
    scrubbed = []
    for pwd in ("first+first+first+first+first", "other+other+other+other+other"):
        recording = Recording(bytes)
        agent = recording.make(IceAgent, controlling=True, credentials=Credentials("ufrag", pwd))
        agent.gather(["192.0.2.1"], now=1.0)
        agent.set_remote(Description("peer", pwd[::-1]), now=2.0)
        scrubbed.append(scrub(recording).to_json_lines())
    assert scrubbed[0] == scrubbed[1]


# ---------------------------------------------------------------- files


def test_a_scrubbed_file_replays_and_no_secret_is_in_it(tmp_path):
    agents, files = session(lambda name, entropy: RecordingFile(tmp_path / name, entropy=entropy))
    secrets = [agents[0].credentials.pwd, agents[1].credentials.pwd, SAID[1:]]
    for name, file in zip("AB", files, strict=True):
        file.close()
        scrub_file(tmp_path / name, tmp_path / "scrubbed")
        assert leaks((tmp_path / name).read_bytes(), [SAID[1:]])
        assert leaks((tmp_path / "scrubbed").read_bytes(), secrets) == []
        assert replay_file(tmp_path / "scrubbed").same
        old, new = read_recording(tmp_path / name), read_recording(tmp_path / "scrubbed")
        assert (new.ending, new.is_cut, len(new.steps)) == (old.ending, old.is_cut, len(old.steps))


def test_a_scrubbed_file_ends_as_the_other_does(tmp_path):
    file = RecordingFile(tmp_path / "x", max_bytes=4000)
    agent = file.make(IceAgent, controlling=True)
    agent.gather(["192.0.2.1"], now=1.0)
    file.flush()
    scrub_file(tmp_path / "x", tmp_path / "y")
    assert read_recording(tmp_path / "y").ending == "cut after step 1"
    for now in range(200):
        agent.handle_timer(now=float(now))
    scrub_file(tmp_path / "x", tmp_path / "y")
    assert read_recording(tmp_path / "y").ending == "the limit of 4000 bytes is reached"
    file.close()


def test_what_cannot_be_scrubbed_leaves_the_target_alone(tmp_path):
    RecordingFile(tmp_path / "x").close()
    (tmp_path / "y").write_bytes(b"precious")
    with pytest.raises(ValueError, match="the recording is empty"):
        scrub_file(tmp_path / "x", tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == b"precious"


# ---------------------------------------------------------------- servers and their clients


def asked(authentication, credentials, transport=Transport.UDP):
    """A server's and a client's recording of a Binding request."""
    net = Network(seed=4, latency=0.01)
    outside, inside = net.host("server", "198.51.100.9"), net.host("client", "192.0.2.1")
    of_server, of_client = Recording(outside.entropy), Recording(inside.entropy)
    server = of_server.make(StunServer, authentication=authentication)
    outside.run(server).call(server.start, [Listener(transport, Address("198.51.100.9", 3478))])
    lookup = of_client.make(BindingLookup, "stun:198.51.100.9", credentials=credentials, transports=[transport])
    node = inside.run(lookup)
    node.call(lookup.start)
    net.run(until=60.0, when=lambda: node.events)
    assert type(node.events[-1][1]).__name__ == "MappedAddressDiscovered"
    return of_server, of_client


LONG_TERM = (
    ServerAuthentication(realm="r", lookup_key=StaticUsers({"me": "a secret of ours"}, realm="r")),
    LongTermCredentials("me", "a secret of ours"),
)
SHORT_TERM = (
    ShortTermServerAuthentication(lookup_key=StaticUsers({"me": "a secret of ours"})),
    ShortTermCredentials("me", "a secret of ours"),
)
TOKEN_KEY = TokenKey("north", b"the long-term key of two servers")
TOKEN = encode_token(TokenContents(b"the session key here", 0.0, 2**31), TOKEN_KEY, "turn.example", nonce=bytes(12))
THIRD_PARTY = (
    ThirdPartyServerAuthentication(server_name="turn.example", keys=[TOKEN_KEY], nonce_keys=[b"the key of nonces"]),
    AccessToken("north", TOKEN, b"the session key here"),
)
SHORT_KEY = (
    ThirdPartyServerAuthentication(server_name="turn.example", keys=[TOKEN_KEY], short_keys=True),
    AccessToken("north", TOKEN, b"the session key here"[:16]),
)
KEYS = [
    TOKEN_KEY.key,
    b"the session key here",
    b"the session key here"[:16],
    b"the key of nonces",
    "a secret of ours",
    short_term_key("a secret of ours").secret,
    long_term_key("me", "r", "a secret of ours").secret,
    long_term_key("me", "r", "a secret of ours", sha256=True).secret,
]


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize(
    "mechanism",
    [LONG_TERM, SHORT_TERM, THIRD_PARTY, SHORT_KEY],
    ids=["long-term", "short-term", "third-party", "third-party with short keys"],
)
def test_servers_and_clients_with_passwords_or_tokens_are_scrubbed(mechanism, transport):
    for recording in asked(*mechanism, transport):
        assert leaks(recording, KEYS)
        scrubbed = scrub(recording)
        assert leaks(scrubbed, KEYS) == []
        again = replay(scrubbed)
        if isinstance(again, StunServer):
            assert repr(again.stats) == repr(replay(recording).stats)
            assert not set(_draws(recording)) & set(_draws(scrubbed))  # among them the keys of its nonces


def test_a_token_that_no_key_made_stays_and_is_refused_as_before():
    stranger = AccessToken("north", b"forged" * 12, b"the session key here")
    net = Network(seed=4, latency=0.01)
    outside, inside = net.host("server", "198.51.100.9"), net.host("client", "192.0.2.1")
    recording = Recording(outside.entropy)
    server = recording.make(StunServer, authentication=THIRD_PARTY[0])
    outside.run(server).call(server.start, [Listener(Transport.UDP, Address("198.51.100.9", 3478))])
    lookup = BindingLookup("stun:198.51.100.9", credentials=stranger, entropy=inside.entropy)
    node = inside.run(lookup)
    node.call(lookup.start)
    net.run(until=60.0, when=lambda: node.events)
    assert replay(scrub(recording)).stats.dropped == server.stats.dropped
    assert server.stats.dropped[DropReason.BAD_TOKEN] == 1


def _draws(recording):
    return [drawn for step in recording.steps for drawn in step.drawn]


def test_nonces_that_come_back_are_those_of_the_scrubbed_server():
    of_server, _ = asked(*LONG_TERM)
    nonces = {nonce for one in (of_server, scrub(of_server)) for nonce in _nonces(one)}
    assert len(nonces) == 2  # one each, and each is in the answer and in the request that follows
    assert nonces == {nonce for one in (of_server, scrub(of_server)) for nonce in _nonces(one, "handle_datagrams")}


def _nonces(recording, method=None):
    """The nonces in what a machine sent; or in what it was told by a method."""
    texts = [str(step.outputs if method is None else step.arguments) for step in recording.steps if method in (None, step.method)]
    messages = [decode_untrusted(bytes.fromhex(one)) for text in texts for one in re.findall("'bytes': '([0-9a-f]+)'", text)]
    return [nonce for message in messages if (nonce := message.get(NONCE)) is not None]


# ---------------------------------------------------------------- machines of others


class Chat(Machine):
    """Sends a password that it drew, and what it is told."""

    def __init__(self, entropy):
        super().__init__()
        letters = bytes(65 + number % 26 for number in range(256))
        self.credentials = Credentials("name", entropy(24).translate(letters).decode())

    def say(self, data, *, to="", now):
        self._outputs.append(SendDatagram(ONE, HERE, to.encode() + data))

    def tell(self, *, now):
        raise ValueError("no")


class Counting(Chat):
    """Sends as many datagrams as there are letters a in what it is told: content decides what it does."""

    def say(self, data, *, to="", now):
        self._outputs += [SendDatagram(ONE, HERE, b"a")] * data.count(b"a")


def test_a_machine_of_others_is_scrubbed_with_its_factory():
    recording = Recording()
    chat = recording.make(Chat)
    password = chat.credentials.pwd
    chat.say(b"a word", to=password, now=1.0)
    chat.say(b"", to=f"sip:me:{password}@example.org", now=1.0)
    with pytest.raises(ValueError, match="no"):
        chat.tell(now=2.0)
    assert leaks(recording, [password, "a word"]) == [password, "a word"]
    scrubbed = scrub(recording, Chat)
    assert leaks(scrubbed, [password, "a word"]) == []
    assert scrubbed.steps[1].keywords["to"] == replay(scrubbed, Chat).credentials.pwd
    assert scrubbed.steps[3].raised == "ValueError: no"


def test_a_machine_that_was_made_elsewhere_is_scrubbed_with_its_factory_too():
    recording = Recording()
    chat = Recorded(Chat(recording.tap), recording)
    chat.say(b"a word", now=1.0)
    scrubbed = scrub(recording, Chat)
    assert scrubbed.made is None
    assert leaks(scrubbed, ["a word"]) == []


def test_what_an_application_answers_is_scrubbed_inside_of_its_arguments():
    net = Network(seed=4)
    outside = net.host("server", "198.51.100.9")
    recording = Recording(outside.entropy)
    server = recording.make(StunServer, methods=[Method.ALLOCATE])
    outside.run(server).call(server.start, [Listener(Transport.UDP, Address("198.51.100.9", 3478))])
    request = encode(Method.ALLOCATE, MessageClass.REQUEST, TransactionId(bytes(12)), [(DATA, b"said in secret")])
    server.handle_datagrams(ONE, [(HERE, request)], now=net.now)
    received = next(output for output in server.take_outputs() if isinstance(output, RequestReceived))
    server.respond(received, [(SOFTWARE, "x")], now=net.now)
    assert leaks(recording, [b"said in secret"])
    scrubbed = scrub(recording)
    assert leaks(scrubbed, [b"said in secret"]) == []
    assert replay(scrubbed).stats.responses == 1


def test_a_stream_that_is_no_stun_is_blanked():
    class Reader(Machine):
        def __init__(self, entropy):
            super().__init__()

        def handle_stream_data(self, socket, data, *, now):
            self._outputs.append(SendDatagram(ONE, HERE, data))

    recording = Recording()
    reader = recording.make(Reader)
    request = encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)))
    for piece in (request[:7], request[7:] + b"GET /secret", b" HTTP/1.1", b""):
        reader.handle_stream_data(ONE, piece, now=1.0)
    scrubbed = scrub(recording, Reader)
    told = b"".join(bytes.fromhex(step.arguments[1]["bytes"]) for step in scrubbed.steps[1:])
    assert told == request + bytes([64]) + bytes(19)


def test_a_broken_message_within_a_stream_stays():
    class Deaf(Machine):
        def __init__(self, entropy):
            super().__init__()

    recording = Recording()
    deaf = recording.make(Deaf)
    broken = bytes.fromhex("000100042112a442") + bytes(12) + bytes.fromhex("00060064")  # of a user name of 100 bytes
    deaf.handle_stream_data(ONE, broken, now=1.0)
    (step,) = scrub(recording, Deaf).steps[1:]
    assert bytes.fromhex(step.arguments[1]["bytes"]) == broken


def test_the_beginning_of_a_message_at_the_end_of_a_stream_stays():
    class Deaf(Machine):
        def __init__(self, entropy):
            super().__init__()

        def handle_stream_data(self, socket, data, *, now):
            pass

    recording = Recording()
    deaf = recording.make(Deaf)
    request = encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)))
    deaf.handle_stream_data(ONE, request + request[:11], now=1.0)
    [_, step] = scrub(recording, Deaf).steps
    assert bytes.fromhex(step.arguments[1]["bytes"]) == request + request[:11]


def test_a_datagram_that_is_nearly_a_message_stays_unless_it_is_handed_on():
    class Half(Machine):
        def __init__(self, entropy):
            super().__init__()

        def handle_datagrams(self, socket, batch, *, now):
            self._outputs += [SendDatagram(ONE, source, data) for source, data in batch if source == HERE]

    recording = Recording()
    half = recording.make(Half)
    classic = b"\x00\x01\x00\x00" + bytes(range(16))  # RFC 3489
    half.handle_datagrams(ONE, [(HERE, classic)], now=1.0)
    half.handle_datagrams(ONE, [(Address("192.0.2.2", 2), classic)], now=2.0)
    told = [step.arguments[1][0]["tuple"][1]["bytes"] for step in scrub(recording, Half).steps[1:]]
    assert [bytes.fromhex(one) for one in told] == [bytes(20), classic]


def test_a_machine_that_does_something_else_without_its_data_is_named():
    recording = Recording()
    chat = recording.make(Counting)
    chat.say(b"nothing", now=1.0)
    chat.say(b"banana", now=2.0)
    with pytest.raises(ScrubError, match="step 2: say: without its secrets the machine does something else: outputs") as found:
        scrub(recording, Counting)
    assert found.value.index == 2


def test_a_machine_that_draws_or_asks_otherwise_is_named():
    class Drawing(Machine):
        def __init__(self, entropy, draws=2):
            super().__init__()
            self.entropy = entropy
            self.draws = draws
            self.allows = entropy.policy("allows", lambda: True)

        def draw(self, *, now):
            for _ in range(self.draws):
                self.entropy(4)
            if self.draws > 1:
                self.allows()

        def ask(self, *, now):
            (self.entropy.policy("other", bool) if self.draws == 1 else self.allows)()

    recording = Recording()
    machine = recording.make(lambda *, entropy: Drawing(entropy))
    machine.draw(now=1.0)
    machine.ask(now=1.0)
    assert scrub(recording, lambda tap: Drawing(tap)).steps[1].drawn == recording.steps[1].drawn
    with pytest.raises(ScrubError, match=r"step 1: draw: .*it draws 4 bytes"):
        scrub(recording, lambda tap: Drawing(tap, draws=3))
    with pytest.raises(ScrubError, match=r"step 1: draw: .*it draws and asks less"):
        scrub(recording, lambda tap: Drawing(tap, draws=1))
    del recording.steps[1]
    with pytest.raises(ScrubError, match=r"step 1: ask: .*it asks other"):
        scrub(recording, lambda tap: Drawing(tap, draws=1))


def test_an_empty_recording_cannot_be_scrubbed():
    with pytest.raises(ValueError, match="the recording is empty"):
        scrub(Recording())


@pytest.mark.parametrize("arguments", [[], [1, 5], [1, [5]], [1, [{"tuple": [1, 2]}]], [{"bytes": "x"}, []]])
def test_datagrams_that_were_edited_name_their_step(arguments):
    recording = Recording()
    recording.make(IceAgent, controlling=True).handle_datagrams(SocketId(1), [], now=0.0)
    recording.steps[1].arguments = arguments
    with pytest.raises(ValueError, match="step 1, handle_datagrams: "):
        scrub(recording)


def test_a_machine_whose_construction_is_another_is_named():
    recording = Recording()
    recording.make(Chat)
    with pytest.raises(ScrubError, match=r"step 0: construction: .*it draws 5 bytes"):
        scrub(recording, lambda tap: tap(5))


def test_a_factory_that_makes_another_machine_each_time_is_found_out():
    made = []

    def fickle(tap):
        made.append(tap)
        return Machine() if len(made) < 4 else Chat(tap)

    recording = Recording()
    recording.make(lambda *, entropy: Machine())
    with pytest.raises(ReplayDifference, match="bytes of entropy drawn differs"):
        scrub(recording, fickle)
