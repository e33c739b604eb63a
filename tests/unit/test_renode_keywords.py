"""The server in front of Renode's Robot keywords, without a Renode."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit
from xmlrpc.client import Error, ProtocolError, ServerProxy, dumps, loads

import pytest

from lab.engines.renode_keywords import KeywordServer
from lab.errors import LabError


def answer(request: str) -> str:
    """Answer as Renode would: with the name of the method and its arguments."""
    arguments, method = loads(request)
    if method == "dies":
        raise LabError("Renode has ended")
    return dumps(([method, *arguments],), methodresponse=True)


@pytest.fixture
def server() -> Iterator[KeywordServer]:
    server = KeywordServer(answer)
    yield server
    server.close()


def test_who_knows_the_path_is_answered(server: KeywordServer) -> None:
    with ServerProxy(server.uri) as proxy:
        assert proxy.run_keyword("Wait", ["µ", 1]) == ["run_keyword", "Wait", ["µ", 1]]


@pytest.mark.parametrize("path", ["", "/", "/RPC2", "/" + "x" * 22])
def test_a_stranger_is_not(server: KeywordServer, path: str) -> None:
    where = urlsplit(server.uri)._replace(path=path).geturl()
    with ServerProxy(where) as proxy, pytest.raises(ProtocolError) as refused:
        proxy.run_keyword("Wait", [])
    assert refused.value.errcode == 404


def test_two_servers_have_two_paths(server: KeywordServer) -> None:
    other = KeywordServer(answer)
    other.close()
    assert urlsplit(other.uri).path != urlsplit(server.uri).path


def test_it_listens_on_the_loopback_interface_only(server: KeywordServer) -> None:
    where = urlsplit(server.uri)
    assert where.hostname == "127.0.0.1"
    # All of 127.0.0.0/8 is this machine: a server on every interface would be there too.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", where.port or 0), timeout=5)


@pytest.mark.parametrize("size", ["", "-1", "many", "9999999"])
def test_a_request_of_no_size_or_too_large_is_refused_unread(server: KeywordServer, size: str) -> None:
    where = urlsplit(server.uri)
    with socket.create_connection((where.hostname, where.port or 0), timeout=5) as stream:
        stream.sendall(f"POST {where.path} HTTP/1.0\r\nContent-Length: {size}\r\n\r\n".encode())
        assert b" 413 " in stream.makefile("rb").readline()


def test_what_renode_cannot_do_is_said(server: KeywordServer) -> None:
    with ServerProxy(server.uri) as proxy:
        with pytest.raises(ProtocolError, match="502"):
            proxy.dies()
        assert proxy.lives() == ["lives"]


def test_a_closed_one_is_gone(server: KeywordServer) -> None:
    other = KeywordServer(answer)
    other.close()
    with ServerProxy(other.uri) as proxy, pytest.raises((OSError, Error)):
        proxy.lives()
