from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "backend.payments"
    label = "payments"

    def ready(self) -> None:
        # Mails ask for the documents that belong to their notices.
        from backend.payments.documents import mailing  # noqa: F401
