"""Which URLs a proxy carries."""

from sansice import Transport
from sansice.ice import IceServer
from sansice.ice._gathering._ways import through_proxy
from sansice.ice._server import read_servers
from sansice.stun import HttpProxy

PROXY = HttpProxy("10.1.0.10")
UDP, TCP, TLS, DTLS = Transport


def test_streams_go_through_the_proxy_and_datagrams_beside_it():
    urls = ["stun:a.example", "turn:a.example", "turn:a.example?transport=udp", "turns:a.example:443?transport=tcp"]
    ways = through_proxy(read_servers([IceServer(urls, "user", "secret")]), PROXY)
    assert [(way.url, way.transports, way.proxy) for way in ways] == [
        (urls[0], None, None),
        (urls[1], (UDP, DTLS), None),
        (urls[1], (TCP, TLS), PROXY),
        (urls[2], (UDP, DTLS), None),
        (urls[3], (TCP, TLS), PROXY),
    ]
