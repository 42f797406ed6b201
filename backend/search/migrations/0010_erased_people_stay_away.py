"""No search is saved in the name of somebody who was erased while they asked for it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("search", "0009_saved_searches"),
        ("privacy", "0002_erased_people_stay_away"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER saved_searches_erased BEFORE INSERT ON saved_searches"
            " FOR EACH ROW EXECUTE FUNCTION erased_user_id_stays_away();",
            "DROP TRIGGER saved_searches_erased ON saved_searches;",
        )
    ]
