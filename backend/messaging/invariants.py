"""What must be true of conversations at any moment."""

from __future__ import annotations

from backend.core.checks import Check

CHECKS = [
    Check(
        name="messages_are_gapless",
        sql="""
            SELECT c.id AS conversation, c.last_seq, count(m.id) AS messages, min(m.seq) AS first, max(m.seq) AS last
            FROM conversations c LEFT JOIN messages m ON m.conversation_id = c.id
            GROUP BY c.id HAVING count(m.id) <> c.last_seq OR coalesce(max(m.seq), 0) <> c.last_seq
        """,
        meaning="A message is missing, or has a number that its conversation has not given.",
    ),
    Check(
        name="nobody_has_read_what_is_not_written",
        sql="""
            SELECT p.conversation_id, p.user_id, p.read_seq, c.last_seq
            FROM participations p JOIN conversations c ON c.id = p.conversation_id WHERE p.read_seq > c.last_seq
        """,
        meaning="A message to come would never be unread for somebody.",
    ),
    Check(
        name="attachments_are_their_senders",
        sql="""
            SELECT a.id AS attachment, a.message_id, a.conversation_id, m.conversation_id AS sent_in
            FROM attachments a JOIN messages m ON m.id = a.message_id
            WHERE (m.conversation_id, m.sender_id) IS DISTINCT FROM (a.conversation_id, a.uploader_id)
        """,
        meaning="A file is shown to people whom its owner has not sent it to.",
    ),
    Check(
        name="conversations_name_the_host",
        sql="""
            SELECT c.id AS conversation, c.host_id, l.host_id AS host_of_listing
            FROM conversations c JOIN properties l ON l.id = c.listing_id WHERE c.host_id <> l.host_id
        """,
        meaning="Somebody who is not the host of the listing reads what its guest writes.",
    ),
]
