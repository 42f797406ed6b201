"""Find what happened on a day, and which nights a stay or a closure covers, without reading whole tables."""

from django.db import migrations

INDEXES = {
    "bookings_nights": "bookings USING gist (daterange(check_in, check_out)) WHERE status IN ('confirmed', 'completed')",
    "bookings_answered": "bookings ((coalesce(accepted_at, ended_at)))"
    " WHERE accepted_at IS NOT NULL OR status = 'declined'",
    "payments_completed_at": "payments (completed_at) WHERE completed_at IS NOT NULL",
    "reviews_published_at": "reviews (published_at) WHERE status = 'published' AND about = 'property'",
    "blocks_closures": "blocks USING gist (nights) WHERE reason IN ('host', 'feed')",
}


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("analytics", "0002_follow_rows")]

    operations = [
        migrations.RunSQL(
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {what}",
            f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
        )
        for name, what in INDEXES.items()
    ]
