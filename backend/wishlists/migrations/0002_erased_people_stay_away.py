"""No list begins in the name of somebody who was erased while they asked for it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("wishlists", "0001_initial"),
        ("privacy", "0002_erased_people_stay_away"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER wishlists_erased BEFORE INSERT ON wishlists"
            " FOR EACH ROW EXECUTE FUNCTION erased_user_id_stays_away();",
            "DROP TRIGGER wishlists_erased ON wishlists;",
        )
    ]
