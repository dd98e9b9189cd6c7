"""A tracking server behind TLS whose certificate no public authority has signed."""

import datetime
import ipaddress
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ser_ops.errors import UserError
from ser_ops.tracking.runs import open_run


def _certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself, in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1)).add_extension(alternative, critical=False)
            .sign(key, hashes.SHA256()))
    file = folder / "proxy.pem"
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()) + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def proxy(server: str, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A TLS proxy before the server: its address and its certificate."""
    class Forward(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = urllib.request.Request(server + self.path, body or None, {"Content-Type": "application/json"},
                                           method=self.command)
            try:
                answer = urllib.request.urlopen(asked)
            except urllib.error.HTTPError as error:
                answer = error
            said = answer.read()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    file = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with ThreadingHTTPServer(("127.0.0.1", 0), Forward) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{listening.server_port}", file
        listening.shutdown()


@pytest.mark.parametrize("trusted", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE",
                                     "MLFLOW_TRACKING_INSECURE_TLS"])
def test_what_mlflow_trusts_is_up(params, proxy, monkeypatch, trusted):
    uri, file = proxy
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv(trusted, "true" if trusted.endswith("TLS") else str(file))
    with open_run(params, "a", {}) as run:
        run.metrics({"uar": 0.5})
    assert run.uri == uri


def test_a_certificate_that_nobody_trusts_is_one_line(params, proxy, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy[0])
    with pytest.raises(UserError, match=r"certificate|SSL") as raised, open_run(params, "a", {}):
        pass
    assert "\n" not in str(raised.value)
