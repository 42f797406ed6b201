"""uvicorn's websocket protocol with an ending that the client gets to see.

A server that closes a connection while the client is still sending makes the kernel answer with a reset, and the
reset overtakes the close frame: the client sees 1006 instead of the reason. Here the reason is sent, the rest is read
and thrown away, and only a client that does not leave within ``LINGER_S`` is cut off. For ``uvicorn --ws``.
"""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LINGER_S = 5.0
SILENT = 4408
"""The close code for a client that does not answer the server's pings."""


class Protocol(WebSocketsSansIOProtocol):
    """Lingers after a frame that breaks the protocol, and never waits for ever for a reader that has stopped."""

    lingering = False

    def data_received(self, data: bytes) -> None:
        if not self.lingering:
            super().data_received(data)

    def handle_parser_exception(self) -> None:
        """A frame that is too large or not well-formed: say so, then let the client finish."""
        close = self.conn.close_sent
        code, reason = (close.code, close.reason) if close else (1002, "")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._say_last_words()

    def keepalive_timeout(self) -> None:
        """No sign of life for too long. 1011 would mean a defect of the server."""
        self.pong_timer = self.pending_ping_payload = None
        if not (self.close_sent or self.transport.is_closing()):
            self.conn.fail(SILENT, "no answer to a ping")
            self.queue.put_nowait({"type": "websocket.disconnect", "code": SILENT, "reason": ""})
            self._say_last_words()

    def _say_last_words(self) -> None:
        self.close_sent = self.lingering = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(LINGER_S, self.cut_off)

    async def run_asgi(self) -> None:
        """Serve, and see to it that the connection ends soon after the application has."""
        await super().run_asgi()
        if not self.disconnected:
            self.loop.call_later(LINGER_S, self.cut_off)

    def cut_off(self) -> None:
        """End the connection; at once where something is still waiting to be read by the other side."""
        if self.disconnected:
            return
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()
