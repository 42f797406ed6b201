"""Load the dated table of currencies and rates that the project ships."""

import csv
from pathlib import Path
from typing import Any

from django.db import migrations

from backend.core.money import exponent

TABLE = Path(__file__).resolve().parent.parent / "data" / "exchange_rates.csv"


def load(apps: Any, schema_editor: Any) -> None:
    currency = apps.get_model("core", "Currency")
    rate = apps.get_model("core", "ExchangeRate")
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    currency.objects.bulk_create(
        currency(code=row["code"], name=row["name"], minor_units=exponent(row["code"])) for row in rows
    )
    rate.objects.bulk_create(
        rate(currency_id=row["code"], per_euro=row["per_euro"], rate_on=row["rate_on"], source=row["source"])
        for row in rows
    )


class Migration(migrations.Migration):
    dependencies = [("core", "0002_extensions")]
    operations = [migrations.RunPython(load, migrations.RunPython.noop)]
