"""The sockets that are open, over all processes: so that a limit holds wherever the next one arrives."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class SocketProcess(models.Model):
    """A process that holds sockets and says so every pulse; sockets of a silent one do not count."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    seen_at = models.DateTimeField()

    class Meta:
        db_table = "socket_processes"

    def __str__(self) -> str:
        return str(self.id)


class OpenSocket(models.Model):
    """An open websocket of a user."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    process = models.ForeignKey(SocketProcess, on_delete=models.CASCADE, related_name="sockets")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    opened_at = models.DateTimeField()

    class Meta:
        db_table = "open_sockets"

    def __str__(self) -> str:
        return f"{self.user_id} since {self.opened_at:%H:%M:%S}"
