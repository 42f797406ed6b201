"""``python -m bench.peers.furnish GUESTS``, with the other project's settings: its tables, filled from ours.

Prints the tokens of so many guests as a JSON list.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django

COPY = """
INSERT INTO market_user (id, password, username, email, first_name, photo, is_superhost, identity_verified, response_rate,
    response_time_hours, is_active, date_joined)
SELECT u.id, '!', u.username, u.email, u.first_name, p.photo, p.is_superhost, p.identity_verified_at IS NOT NULL,
    p.response_rate, p.response_time_hours, u.is_active, u.created_at
FROM users u JOIN profiles p ON p.user_id = u.id;
INSERT INTO market_amenity (slug) SELECT slug FROM amenities ORDER BY bit;
INSERT INTO market_property (id, host_id, status, status_reason, language, title, description, property_type, room_type,
    currency, price_per_night, weekend_price, cleaning_fee, extra_guest_fee, max_guests, guests_included, bedrooms, beds,
    bathrooms, min_nights, max_nights, min_nights_by_weekday, arrival_weekdays, departure_weekdays, advance_notice_hours,
    same_day_cutoff_hour, booking_window_days, preparation_days_before, preparation_days_after,
    allow_request_inside_notice, check_in_time, check_out_time, instant_book, cancellation_policy, house_rules, location,
    city, region, country, latitude, longitude, timezone, rating, review_count, score, created_at, updated_at, published_at)
SELECT p.id, p.host_id, p.status, p.status_reason, p.language, p.title, p.description, p.property_type, p.room_type,
    p.currency, p.price_minor / 100.0, p.weekend_price_minor / 100.0, p.cleaning_fee_minor / 100.0,
    p.extra_guest_fee_minor / 100.0, p.max_guests, p.guests_included, p.bedrooms, p.beds, p.bathrooms, p.min_nights,
    p.max_nights, p.min_nights_by_weekday, p.arrival_weekdays, p.departure_weekdays, p.advance_notice_hours,
    p.same_day_cutoff_hour, p.booking_window_days, p.preparation_days_before, p.preparation_days_after,
    p.allow_request_inside_notice, p.check_in_time, p.check_out_time, p.instant_book, p.cancellation_policy,
    p.house_rules, p.location, p.city, p.region, p.country, p.public_latitude, p.public_longitude, p.timezone, p.rating,
    p.review_count, s.score, p.created_at, p.updated_at, p.published_at
FROM properties p JOIN search_row s ON s.listing_id = p.id ORDER BY p.id;
INSERT INTO market_property_amenities (property_id, amenity_id)
SELECT p.id, m.id FROM properties p JOIN amenities a ON p.amenities_mask >> a.bit & 1 = 1 JOIN market_amenity m USING (slug);
INSERT INTO market_booking (reference, property_id, guest_id, check_in, check_out, guests, status, total_price, currency,
    price_breakdown, created_at)
SELECT md5(b.id::text), b.listing_id, p.host_id, lower(b.nights), upper(b.nights), 1, 'confirmed', 100, p.currency, '[]',
    b.created_at
FROM blocks b JOIN properties p ON p.id = b.listing_id WHERE b.active;
SELECT setval(pg_get_serial_sequence('market_user', 'id'), (SELECT max(id) FROM market_user));
SELECT setval(pg_get_serial_sequence('market_booking', 'id'), (SELECT max(id) FROM market_booking));
"""
"""The generated listings are priced in euros, which have cents."""


def main(guests: int) -> None:
    """Make the tables anew."""
    django.setup()
    from django.apps import apps
    from django.db import connection
    from rest_framework.authtoken.models import Token

    from bench.peers.market.models import User

    models: list[Any] = [*apps.get_app_config("market").get_models(), Token]
    through = [field.remote_field.through for model in models for field in model._meta.local_many_to_many]
    tables = [model._meta.db_table for model in [*models, *through]]
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {', '.join(tables)} CASCADE")
    with connection.schema_editor() as editor:
        for model in models:
            editor.create_model(model)
    with connection.cursor() as cursor:
        cursor.execute(COPY)
    users = User.objects.bulk_create(
        User(username=f"peer_{number}", email=f"peer_{number}@example.com", first_name="Peer")
        for number in range(guests)
    )
    tokens = Token.objects.bulk_create(Token(user=user, key=Token.generate_key()) for user in users)
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"VACUUM ANALYZE {table}")
    print(json.dumps([token.key for token in tokens]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
