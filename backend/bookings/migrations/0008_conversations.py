"""Every booking and inquiry belongs to the conversation of its guest and its listing; those that are there get theirs."""

import django.db.models.deletion
from django.db import migrations, models

FILL = """
    INSERT INTO conversations
        (listing_id, guest_id, host_id, last_seq, contact_open_at, created_at, updated_at)
    SELECT listing_id, guest_id, min(host_id), 0, min(confirmed_at), min(created_at), max(updated_at)
    FROM (
        SELECT listing_id, guest_id, host_id, confirmed_at, created_at, updated_at FROM bookings
        UNION ALL
        SELECT listing_id, guest_id, host_id, NULL, created_at, updated_at FROM inquiries
    ) AS met
    WHERE guest_id <> host_id
    GROUP BY listing_id, guest_id
    ON CONFLICT ON CONSTRAINT conversations_once DO NOTHING;
    UPDATE bookings b SET conversation_id = c.id FROM conversations c
        WHERE c.listing_id = b.listing_id AND c.guest_id = b.guest_id AND b.conversation_id IS NULL;
    UPDATE inquiries i SET conversation_id = c.id FROM conversations c
        WHERE c.listing_id = i.listing_id AND c.guest_id = i.guest_id AND i.conversation_id IS NULL;
    -- What waits of foreign keys is looked at now: a table with such events cannot be altered any more.
    SET CONSTRAINTS ALL IMMEDIATE;
    SET CONSTRAINTS ALL DEFERRED;
"""


def _conversation(related: str) -> models.ForeignKey:
    return models.ForeignKey(
        null=True,
        on_delete=django.db.models.deletion.PROTECT,
        related_name=related,
        to="messaging.conversation",
        verbose_name="conversation",
    )


class Migration(migrations.Migration):
    dependencies = [("bookings", "0007_guest_lists_sealed"), ("messaging", "0002_messages_written_once")]

    operations = [
        migrations.AddField("booking", "conversation", _conversation("bookings")),
        migrations.AddField("inquiry", "conversation", _conversation("inquiries")),
        migrations.AlterField(
            "inquiry", "message", models.TextField(max_length=5000, verbose_name="message")
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
