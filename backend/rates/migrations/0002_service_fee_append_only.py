"""What the platform took from an instant on is written once: a change is another row."""

from django.db import migrations

from backend.core.states import append_only_trigger


class Migration(migrations.Migration):
    dependencies = [("rates", "0001_initial")]

    operations = [append_only_trigger("service_fee_terms")]
