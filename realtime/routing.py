"""Where websockets go."""

from __future__ import annotations

from channels.routing import URLRouter

websocket = URLRouter([])
