"""One port for everything on one machine: HTTP goes to the WSGI application in threads, ``/ws/`` to channels."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

from django.core.wsgi import get_wsgi_application

http = get_wsgi_application()

from a2wsgi import WSGIMiddleware  # noqa: E402
from channels.routing import ProtocolTypeRouter  # noqa: E402

from realtime.routing import websocket  # noqa: E402

application = ProtocolTypeRouter({"http": WSGIMiddleware(http, workers=16), "websocket": websocket})
