"""How often nobody in particular may ask."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache
from rest_framework.throttling import AnonRateThrottle


class AnonThrottle(AnonRateThrottle):
    """A limit that no benchmark reaches, counted by one command.

    The framework's own keeps a list of instants under each key, which grows with the limit: with one as high as this it
    would show nothing but that.
    """

    rate = "10000000/min"

    def allow_request(self, request: Any, view: Any) -> bool:
        """Count the request by its address and minute."""
        key = self.get_cache_key(request, view)
        if key is None:
            return True
        key = f"{key}:{int(self.timer()) // 60}"
        cache.add(key, 0, 60)
        return bool(cache.incr(key) <= self.num_requests)
