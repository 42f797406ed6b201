"""The database refuses every change of a payment's or an operation's state that is no edge."""

from django.db import migrations

from backend.core.states import guard_trigger
from backend.payments.states import OP_TRANSITIONS, PAYMENT_TRANSITIONS


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial")]

    operations = [
        guard_trigger("payments", "status", PAYMENT_TRANSITIONS),
        guard_trigger("money_ops", "state", OP_TRANSITIONS),
    ]
