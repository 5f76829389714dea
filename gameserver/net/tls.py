"""TLS on accepted sockets: the context, its reload, and the handshake without blocking."""

from __future__ import annotations

import socket
import ssl
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

import trio

from gameserver.net.request_head import RefusedRequestError

#: The first byte of every TLS connection: a record of type handshake (RFC 8446, 5.1).
_HANDSHAKE_RECORD: Final = 0x16


class TlsError(Exception):
    """The certificate or its key cannot be used; the text names the file and the cure."""


class Tls:
    """A server's certificate. `reload` replaces it for connections to come; those that exist keep theirs.

    Args:
        certificate: PEM file with the certificate and those of its issuers, the server's own first.
        key: PEM file with its private key; None when it is in ``certificate``.
    Raises:
        TlsError: they cannot be used.

    Attributes:
        context: what the next connection is encrypted with.
    """

    def __init__(self, certificate: str | Path, key: str | Path | None = None) -> None:
        self._certificate, self._key = certificate, key
        self.context = _load(certificate, key)

    def reload(self) -> None:
        """Read the files again; on `TlsError` the old certificate stays."""
        self.context = _load(self._certificate, self._key)


def _load(certificate: str | Path, key: str | Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Renegotiation and compression have been the way to attack TLS 1.2; neither is of use to a game.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    try:
        for path in (certificate, key):
            if path is not None:
                Path(path).read_bytes()  # the library's own error for a missing file names no file
        context.load_cert_chain(certificate, key, password=partial(_no_password, key or certificate))
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise TlsError(
            f"{reason} (certificate {certificate}, key {key or certificate}): give PEM files, the certificate followed "
            f"by its issuers', and the key that belongs to it"
        ) from None
    except OSError as error:
        raise TlsError(f"{error.filename or certificate} cannot be read: {error.strerror or error}") from None
    return context


def _no_password(key: str | Path) -> str:
    """A server that starts by itself has nobody to ask."""
    raise TlsError(f"the key {key} is encrypted: write it without a password, openssl pkey -in {key} -out plain.pem")


async def encrypt(sock: socket.socket, context: ssl.SSLContext, turnstile: trio.Lock) -> ssl.SSLSocket | None:
    """Do the server's side of a TLS handshake on a connected, non-blocking socket.

    Cancellation closes the socket.

    Args:
        turnstile: held while the handshake computes, 1 to 2 ms, so that many at once do not delay a tick.
    Returns:
        The encrypted socket, in whose place ``sock`` must not be used any more; None when the peer hung up.
    Raises:
        RefusedRequestError: the peer speaks plain HTTP. ``sock`` is as it was.
        OSError: the handshake failed (``ssl.SSLError``) or the connection broke; the socket is closed.
    """
    await trio.lowlevel.wait_readable(sock)
    first = sock.recv(1, socket.MSG_PEEK)
    if not first:
        return None
    if first[0] != _HANDSHAKE_RECORD:
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "This port speaks TLS: use wss:// or https://.")
    encrypted = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    try:
        await _shake_hands(encrypted, turnstile)
    except BaseException:
        trio.lowlevel.notify_closing(encrypted)
        encrypted.close()
        raise
    return encrypted


async def _shake_hands(sock: ssl.SSLSocket, turnstile: trio.Lock) -> None:
    while True:
        try:
            async with turnstile:
                sock.do_handshake()
            return
        except ssl.SSLWantReadError:
            await trio.lowlevel.wait_readable(sock)
        except ssl.SSLWantWriteError:
            await trio.lowlevel.wait_writable(sock)
