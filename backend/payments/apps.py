from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "backend.payments"
    label = "payments"

    def ready(self) -> None:
        from backend.core import rotation

        # The phone that is asked to pay.
        rotation.inside("payments.MoneyOp", "options")
        # Mails ask for the documents that belong to their notices.
        from backend.payments.documents import mailing  # noqa: F401
