import django.db.models.expressions
from django.db import migrations, models

import backend.core.sealed
from backend.core import sealing
from backend.core.sealed import SealedTextField


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0005_session_confirmed")]

    operations = [
        migrations.AlterField("profile", "phone", models.TextField("phone", blank=True)),
        sealing.seal("profiles", "phone", index="phone", key="user_id"),
        migrations.AlterField(
            "profile",
            "phone",
            SealedTextField(blank=True, index="phone", max_length=20, verbose_name="phone"),
        ),
        sealing.only_sealed("profiles", "phone"),
        migrations.AddIndex(
            "profile",
            models.Index(
                backend.core.sealed.Blind(django.db.models.expressions.F("phone")), name="profiles_phone"
            ),
        ),
        migrations.AlterField("phonecode", "phone", models.TextField("phone")),
        sealing.seal("phone_codes", "phone", key="user_id"),
        migrations.AlterField("phonecode", "phone", SealedTextField(max_length=20, verbose_name="phone")),
        sealing.only_sealed("phone_codes", "phone"),
        migrations.AlterField("totpenrolment", "secret", SealedTextField(verbose_name="secret")),
        sealing.only_sealed("totp_enrolments", "secret"),
    ]
