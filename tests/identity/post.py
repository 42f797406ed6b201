"""What accounts are written: mails and short messages as they arrive in the state folder."""

from __future__ import annotations

import email
import re
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from backend.identity import emails, phones, proofs
from tests import later

JOBS = (emails.VERIFY_JOB, emails.MOVED_JOB, proofs.RESET_JOB, phones.TEXT_JOB)


class Post:
    """The mails and messages that were sent since it was last looked."""

    def __init__(self, folder: Path, settings: Any) -> None:
        settings.EMAIL_BACKEND = "backend.notifications.mail.EmlFileBackend"
        settings.MAIL_DIR, settings.SMS_DIR = folder / "mail", folder / "sms"
        self.mail_dir, self.sms_dir = settings.MAIL_DIR, settings.SMS_DIR

    def mails(self) -> list[EmailMessage]:
        """Run the jobs and take the mails, oldest first."""
        later.run(*JOBS)
        return [
            email.message_from_bytes(data, policy=default)  # type: ignore[misc]
            for data in self._taken(self.mail_dir, "*.eml", Path.read_bytes)
        ]

    def messages(self) -> list[str]:
        """Run the jobs and take the short messages, oldest first."""
        later.run(*JOBS)
        return self._taken(self.sms_dir, "*.txt", lambda path: path.read_text("utf-8"))

    @staticmethod
    def _taken(folder: Path, pattern: str, read: Callable[[Path], Any]) -> list[Any]:
        files = sorted(folder.glob(pattern))
        found = [read(file) for file in files]
        for file in files:
            file.unlink()
        return found


def text_of(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def secret_of(mail: EmailMessage, name: str) -> str:
    """The key or token that stands in the mail's link, and in the words beside it."""
    text = text_of(mail)
    found = re.search(rf"#{name}=(\S+)", text)
    assert found is not None, text
    assert text.count(found[1]) == 2
    return found[1]
