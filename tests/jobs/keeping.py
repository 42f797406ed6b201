"""Where backups are kept under test, and who may make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings as configured
from django.db import connection

from backend.jobs.backups import sealing
from backend.jobs.backups.places import Folder
from backend.local.state import read_json


def superuser_url() -> str:
    """The way of the role that may copy the cluster under test."""
    for folder in (configured.STATE_DIR, configured.STATE_DIR.parent):
        if password := read_json(folder / "secrets.json").get("superuser_password"):
            at = connection.settings_dict
            return f"postgresql://postgres:{quote(password)}@{at['HOST']}:{at['PORT']}/postgres"
    raise AssertionError("the tests run without run.py")


def set_up(settings: Any, folder: Path) -> Folder:
    """Everything set up to make backups into a folder; the identity lies beside it."""
    recipient, identity = sealing.new_identity()
    (folder / "identity").write_text(f"# for tests\n{identity}\n")
    settings.BACKUP_DATABASE_URL = superuser_url()
    settings.STATE_DIR = folder / "state"
    settings.MEDIA_ROOT = folder / "state" / "media"
    settings.BACKUP_TARGET = str(folder / "kept")
    settings.BACKUP_RECIPIENTS = (recipient,)
    Path(settings.MEDIA_ROOT).mkdir(parents=True)
    return Folder(folder / "kept")
