"""Servers: what a class declares about its sockets, and what runs them."""

from dploylib.errors import RequestRefused
from dploylib.servers.greeting import publish
from dploylib.servers.server import (
    DployServer,
    Handler,
    Server,
    ServerDescription,
    ServerMeta,
    ServerStopped,
    SocketDescription,
    SocketHandlerWrapper,
    bind,
    bind_in,
    connect,
    connect_in,
)
from dploylib.servers.storage import NoSuchSocket, SocketStorage

__all__ = [
    "DployServer",
    "Handler",
    "NoSuchSocket",
    "RequestRefused",
    "Server",
    "ServerDescription",
    "ServerMeta",
    "ServerStopped",
    "SocketDescription",
    "SocketHandlerWrapper",
    "SocketStorage",
    "bind",
    "bind_in",
    "connect",
    "connect_in",
    "publish",
]
