from django.db import migrations

from backend.bookings.states import TRANSITIONS
from backend.core.states import append_only_trigger, guard_trigger


class Migration(migrations.Migration):
    """The database refuses a status that does not follow from the one before, and a timeline that is rewritten."""

    dependencies = [("bookings", "0001_initial")]

    operations = [
        guard_trigger("bookings", "status", TRANSITIONS),
        append_only_trigger("booking_transitions"),
    ]
