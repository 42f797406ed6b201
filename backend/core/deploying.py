"""What ``manage.py check --deploy`` warns of beside Django's own questions: it runs, but hardly as it was meant."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


@register(Tags.security, deploy=True)
def unfinished(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A warning for each part that production should have and the environment does not name."""
    env = settings.ENV
    said = [
        (
            settings.EMAIL_PROVIDER != "files",
            "karibu.W001",
            "Mails are only written to files: nobody can verify an address.",
            "EMAIL_URL or EMAIL_PROVIDER",
        ),
        (
            env.storage_bucket,
            "karibu.W002",
            "Files lie on this machine alone, and nobody serves them.",
            "STORAGE_BUCKET",
        ),
        (
            env.trusted_proxies,
            "karibu.W003",
            "No proxy is trusted: behind one, all requests seem to come from it, without TLS.",
            "TRUSTED_PROXIES",
        ),
        (
            env.encryption_keys,
            "karibu.W004",
            "Personal texts are sealed with the SECRET_KEY, which cannot be changed alone then.",
            "ENCRYPTION_KEYS",
        ),
        (
            env.redis_url,
            "karibu.W005",
            "Without Valkey there is no live event between processes.",
            "REDIS_URL",
        ),
    ]
    return [Warning(words, hint=f"Set {name}.", id=id_) for value, id_, words, name in said if not value]
