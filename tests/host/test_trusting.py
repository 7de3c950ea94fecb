import datetime as dt
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from envlock.host import http
from envlock.host.trusting import trust


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


def certificate(directory: Path) -> Path:
    """Write a key and a certificate that nobody but itself has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "index.example")])
    now = dt.datetime.now(dt.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = directory / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A server with such a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refused handshakes
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:{port}"])
def test_a_trusted_host_is_believed_and_no_other(port: int, host: str) -> None:
    with http.session({}) as client:
        trust(client, [host.format(port=port)])
        assert client.get(f"https://127.0.0.1:{port}/").text == "ok"
        with pytest.raises(requests.exceptions.SSLError):
            client.get(f"https://localhost:{port}/")


def test_a_trusted_port_is_not_the_whole_host(port: int) -> None:
    with http.session({}) as client:
        trust(client, [f"127.0.0.1:{port + 1}"])
        with pytest.raises(requests.exceptions.SSLError):
            client.get(f"https://127.0.0.1:{port}/")


def test_an_address_of_ipv6_may_stand_without_brackets() -> None:
    with http.session({}) as client:
        plain = client.get_adapter("https://other.example/")
        trust(client, ["::1"])
        assert client.get_adapter("https://[::1]:8080/simple/") is not plain
        assert client.get_adapter("https://other.example/") is plain
