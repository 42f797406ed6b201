from django.apps import AppConfig
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    name = "backend.core"
    label = "core"

    def ready(self) -> None:
        from backend.core import deploying, pooling  # noqa: F401 - registers the checks

        post_migrate.connect(pooling.keep_session_defaults, sender=self)
