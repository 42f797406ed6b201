from django.apps import AppConfig


class BookingsConfig(AppConfig):
    name = "backend.bookings"
    label = "bookings"

    def ready(self) -> None:
        # What bookings add to mails; whoever writes mails knows no bookings.
        from backend.bookings import mail_facts, stay_files  # noqa: F401
