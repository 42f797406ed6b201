"""The vocabulary of the search row: folded words, cells of the map, masks of nights.

Immutable ones are inlined by the planner. ``search_cell`` and ``search_mask`` are mirrored by ``search/geo.py`` and
``search/nights.py``, which make the questions that the rows answer; a test holds the two sides together.
"""

from django.db import migrations

# One search takes one core: starting workers costs more than most searches, and there are many searches at once.
STORAGE = """
ALTER TABLE search_row SET (fillfactor = 85, parallel_workers = 0,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
"""
UNDO_STORAGE = """
ALTER TABLE search_row RESET (fillfactor, parallel_workers, autovacuum_vacuum_scale_factor,
    autovacuum_analyze_scale_factor);
"""

TEXT = """
CREATE TEXT SEARCH DICTIONARY listing_stem (TEMPLATE = snowball, Language = english);
CREATE TEXT SEARCH CONFIGURATION listing_text (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION listing_text
    ALTER MAPPING FOR asciiword, asciihword, hword_asciipart, word, hword, hword_part WITH unaccent, listing_stem;

-- Lower case, no accents, punctuation as single spaces.
CREATE FUNCTION search_fold(value text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT trim(regexp_replace(lower(unaccent(value)), '[^[:alnum:]]+', ' ', 'g'))
$$;

-- The words of a place and its country as '_pt', each once.
CREATE FUNCTION search_place_words(folded text, country text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_to_tsvector(array_remove(string_to_array(folded, ' ') || ('_' || lower(country)), ''))
$$;
"""
UNDO_TEXT = """
DROP FUNCTION search_place_words(text, text);
DROP FUNCTION search_fold(text);
DROP TEXT SEARCH CONFIGURATION listing_text;
DROP TEXT SEARCH DICTIONARY listing_stem;
"""

MAP = """
-- Bands of 0.05 degrees of latitude from the south pole, in each band steps of 0.01 degrees of longitude.
CREATE FUNCTION search_cell(lat float8, lon float8) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT floor((lat + 90) * 20)::int * 36001 + floor((lon + 180) * 100)::int
$$;

-- Great-circle distance in km on the mean sphere; null without a point (least() would not say so).
CREATE FUNCTION search_distance_km(lat1 float8, lon1 float8, lat2 float8, lon2 float8) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN lat1 IS NOT NULL THEN 12742.0176 * asin(least(1.0, sqrt(
        power(sin(radians(lat2 - lat1) / 2), 2)
        + cos(radians(lat1)) * cos(radians(lat2)) * power(sin(radians(lon2 - lon1) / 2), 2)))) END
$$;
"""
UNDO_MAP = """
DROP FUNCTION search_distance_km(float8, float8, float8, float8);
DROP FUNCTION search_cell(float8, float8);
"""

NIGHTS = """
-- The bits in word number `word` of the nights [first, past), all counted from 1970.
CREATE FUNCTION search_mask(first int, past int, word int) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((1::bigint << least(greatest(past - word * 60, 0), 60)) - 1)
         & ~((1::bigint << least(greatest(first - word * 60, 0), 60)) - 1)
$$;

-- The number of the word that slot `slot` of a row holds whose oldest word is `first_word`.
CREATE FUNCTION search_word_at(slot int, first_word int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT first_word + ((slot - first_word) & 7)
$$;

CREATE FUNCTION search_day(day date) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT day - date '1970-01-01'
$$;
"""
UNDO_NIGHTS = """
DROP FUNCTION search_day(date);
DROP FUNCTION search_word_at(int, int);
DROP FUNCTION search_mask(int, int, int);
"""

# Yesterday is still today somewhere.
WINDOW = """
INSERT INTO search_window (id, first_word, reached)
SELECT 1, word, word FROM (SELECT (current_date - 1 - date '1970-01-01') / 60 AS word) AS today;
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0001_initial"), ("core", "0002_extensions")]
    operations = [
        migrations.RunSQL(STORAGE, UNDO_STORAGE),
        migrations.RunSQL(TEXT, UNDO_TEXT),
        migrations.RunSQL(MAP, UNDO_MAP),
        migrations.RunSQL(NIGHTS, UNDO_NIGHTS),
        migrations.RunSQL(WINDOW, "DELETE FROM search_window"),
    ]
