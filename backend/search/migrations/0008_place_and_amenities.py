"""Two more ways into the rows: by place alone, small enough to be read whole, and by rare amenities.

A mask cannot be looked up; the list of its bits can, by GIN. It is asked only for what few listings have.
"""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import F, Func, Q

LIST = """
CREATE FUNCTION search_amenity_list(mask bigint) RETURNS int[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array_agg(bit) FROM generate_series(0, 62) AS bit WHERE (mask >> bit) & 1 = 1
$$;
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("search", "0007_lay_rows_out")]
    operations = [
        migrations.RunSQL(LIST, "DROP FUNCTION search_amenity_list(bigint)"),
        AddIndexConcurrently(
            "searchrow",
            models.Index("place", condition=Q(listed=True), name="search_row_place_alone"),
        ),
        AddIndexConcurrently(
            "searchrow",
            GinIndex(
                Func(F("amenities"), function="search_amenity_list"),
                condition=Q(listed=True),
                name="search_row_amenities",
            ),
        ),
    ]
