from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "backend.messaging"
    label = "messaging"

    def ready(self) -> None:
        from backend.messaging import reading
        from backend.notifications.rendering import BODIES

        BODIES["message"] = reading.shown
