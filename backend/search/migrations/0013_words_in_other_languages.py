"""A listing is found by its words in every language in which it has texts.

A listing without such texts keeps the very words that it has.
"""

from django.db import migrations

TRUTH = """
CREATE OR REPLACE VIEW search_text_truth AS
SELECT
    p.id AS listing_id,
    setweight(to_tsvector('listing_text', p.title), 'A')
        || setweight(to_tsvector('listing_text', concat_ws(' ', p.location, p.city, p.region)), 'B')
        || setweight(to_tsvector('listing_text', p.description), 'C'){others} AS words
FROM properties p{source};
"""
OTHERS = """
        || coalesce(setweight(to_tsvector('listing_text', x.titles), 'A'), '')
        || coalesce(setweight(to_tsvector('listing_text', x.descriptions), 'C'), '')"""
SOURCE = """
LEFT JOIN LATERAL (
    SELECT string_agg(t.title, ' ' ORDER BY t.language) AS titles,
        string_agg(t.description, ' ' ORDER BY t.language) AS descriptions
    FROM property_texts t WHERE t.listing_id = p.id
) AS x ON true"""

FOLLOW = """
CREATE FUNCTION search_follow_texts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM search_refresh_text(ARRAY[coalesce(NEW.listing_id, OLD.listing_id)]);
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER search_follow_texts AFTER INSERT OR UPDATE OR DELETE ON property_texts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION search_follow_texts();
"""
UNDO_FOLLOW = """
DROP TRIGGER search_follow_texts ON property_texts;
DROP FUNCTION search_follow_texts();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("search", "0012_score_of_rated_reviews"),
        ("listings", "0010_texts_in_other_languages"),
    ]

    operations = [
        migrations.RunSQL(TRUTH.format(others=OTHERS, source=SOURCE), TRUTH.format(others="", source="")),
        migrations.RunSQL(FOLLOW, UNDO_FOLLOW),
    ]
