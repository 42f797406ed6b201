"""The score goes by the reviews that have a rating; those that came without one say nothing of how good a place is.

Before, a place with reviews and no rating counted as if they had given it no star at all, and one rated review beside
many unrated ones as if all of them had said the same.
"""

from django.db import migrations

SCORE = """
-- What is recommended first: a rating that few reviews cannot move far, then experience, then ease. See
-- backend/reviews/scores.md.
CREATE OR REPLACE FUNCTION search_score(rating numeric, reviews int, superhost boolean, instant boolean) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT round(1000 * (45 + {rating} * reviews) / (10 + reviews) + 60 * ln(1 + reviews)
        + CASE WHEN superhost THEN 150 ELSE 0 END + CASE WHEN instant THEN 50 ELSE 0 END)::int
$$;
"""
NOW, BEFORE = SCORE.format(rating="coalesce(rating, 4.5)"), SCORE.format(rating="coalesce(rating, 0)")

# The view as it stands, with another number of reviews in its score.
VIEW = r"""
DO $$
DECLARE
    written text := pg_get_viewdef('search_listing_truth'::regclass);
    changed text := regexp_replace(written, 'search_score\(p\.rating,\s*{old},', 'search_score(p.rating, {new},');
BEGIN
    IF changed = written THEN
        RAISE EXCEPTION 'the score of search_listing_truth is not where it should be';
    END IF;
    EXECUTE 'CREATE OR REPLACE VIEW search_listing_truth AS ' || changed;
END $$;
"""
RATED = VIEW.format(
    old=r"p\.review_count",
    new="CASE WHEN p.imported_rating IS NULL THEN p.own_review_count ELSE p.review_count END",
)
ALL = VIEW.format(old=r"CASE.*?\mEND", new="p.review_count")

REFRESH = """
SELECT search_refresh_listings(ids) FROM (
    SELECT array_agg(id) AS ids FROM properties WHERE imported_rating IS NULL AND review_count > own_review_count
) AS concerned WHERE ids IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("search", "0011_first_publications"),
        ("listings", "0009_ratings_so_far"),
    ]

    operations = [
        migrations.RunSQL(NOW, BEFORE),
        migrations.RunSQL(RATED, ALL),
        migrations.RunSQL(REFRESH, migrations.RunSQL.noop),
    ]
