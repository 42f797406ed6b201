from django.db import migrations

from backend.bookings.states import ALTERATIONS, INQUIRIES
from backend.core.states import guard_trigger


class Migration(migrations.Migration):
    """The database refuses a status of a change or an inquiry that does not follow from the one before."""

    dependencies = [("bookings", "0005_alteration_payment")]

    operations = [
        guard_trigger("alterations", "status", ALTERATIONS),
        guard_trigger("inquiries", "status", INQUIRIES),
    ]
