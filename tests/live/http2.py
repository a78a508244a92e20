"""One HTTP/2 request on a connection of its own, over TLS with ALPN or in clear text with prior knowledge."""

from __future__ import annotations

import socket
import ssl

import h2.config
import h2.connection
import h2.events

from tests.live.client import TIMEOUT, Reply, Request


def send_http2(address: str, port: int, request: Request) -> Reply:
    """Send a request by HTTP/2; raises OSError when the proxy does not speak it."""
    with socket.create_connection((address, port), TIMEOUT) as plain:
        if request.scheme == "http":
            return exchange(plain, request, b"")
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        with context.wrap_socket(plain, server_hostname=request.server_name) as secure:
            if secure.selected_alpn_protocol() != "h2":
                raise ConnectionError("the proxy did not choose h2")
            return exchange(secure, request, secure.getpeercert(binary_form=True) or b"")


def exchange(connection: socket.socket, request: Request, certificate: bytes) -> Reply:
    """Send the request and collect the events of its stream."""
    state = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="latin-1"))
    state.initiate_connection()
    pseudo = ((":method", request.method), (":scheme", request.scheme), (":authority", request.host))
    headers = [*pseudo, (":path", request.target), *((name.lower(), value) for name, value in request.headers)]
    state.send_headers(1, headers, end_stream=not request.body)
    if request.body:
        state.send_data(1, request.body, end_stream=True)
    connection.sendall(state.data_to_send())
    answer: tuple[tuple[str, str], ...] = ()
    body = b""
    while block := connection.recv(65536):
        for event in state.receive_data(block):
            if isinstance(event, h2.events.ResponseReceived):
                answer = tuple((str(name), str(value)) for name, value in event.headers)
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
                state.acknowledge_received_data(event.flow_controlled_length, 1)
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                raise ConnectionError(f"the proxy ended the stream: {event}")
            elif isinstance(event, h2.events.StreamEnded):
                status = int(dict(answer)[":status"])
                return Reply(status, answer[1:], body, "HTTP/2", certificate)
        connection.sendall(state.data_to_send())
    raise ConnectionError("the proxy closed the connection")
