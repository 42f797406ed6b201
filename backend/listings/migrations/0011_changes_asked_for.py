"""Moderators give listings back to their hosts as drafts: the edges of the status anew."""

from django.db import migrations

from backend.core.states import guard_trigger
from backend.listings.states import TRANSITIONS

GUARD = guard_trigger("properties", "status", TRANSITIONS)


class Migration(migrations.Migration):
    dependencies = [("listings", "0010_texts_in_other_languages")]
    operations = [migrations.RunSQL(GUARD.reverse_sql or "", GUARD.sql), GUARD]
