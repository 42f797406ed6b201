"""The database refuses every change of a listing's status that is no edge, whatever writes it."""

from django.db import migrations

from backend.core.states import guard_trigger
from backend.listings.states import TRANSITIONS


class Migration(migrations.Migration):
    dependencies = [("listings", "0001_initial")]
    operations = [guard_trigger("properties", "status", TRANSITIONS)]
