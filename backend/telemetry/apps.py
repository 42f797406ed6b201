from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    name = "backend.telemetry"
    label = "telemetry"

    def ready(self) -> None:
        from backend.telemetry import sentry

        sentry.start()
