"""The PostgreSQL extensions that constraints and search stand on; all three are trusted, so the owner may create them."""

from django.contrib.postgres.operations import BtreeGistExtension, TrigramExtension, UnaccentExtension
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [BtreeGistExtension(), TrigramExtension(), UnaccentExtension()]
