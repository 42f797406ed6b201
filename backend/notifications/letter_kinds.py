"""Letters that prove something: by mail and SMS they go out at once, are no notices, and nobody can do without them.

Their words are kept and changed as those of notices are (``wording``). Values in them: ``key`` proves an address,
``token`` sets a password, ``code`` proves a phone number, ``name`` is the user name of the account. The secrets stand
in the address of the button as well, but for the code.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from backend.notifications.kinds import Kind

VERIFY_EMAIL, RESET_PASSWORD = "letter.verify_email", "letter.reset_password"
EMAIL_CHANGED, PHONE_CODE = "letter.email_changed", "letter.phone_code"

LETTERS: dict[str, Kind] = {
    VERIFY_EMAIL: Kind(
        _("Confirm your email address"),
        _("Please confirm that this address is yours. The link works for three days. If you did not ask for it, you need not do anything.\n\nThe key, to type it in: %(key)s"),
    ),
    RESET_PASSWORD: Kind(
        _("Set a new password"),
        _("Somebody asked for a new password for your account. The link works for one hour and once. If it was not you, nothing changes.\n\nThe token, to type it in: %(token)s"),
    ),
    EMAIL_CHANGED: Kind(
        _("Your email address was changed"),
        _("The account %(name)s has another email address now. If that was not you, write to us at once."),
    ),
    PHONE_CODE: Kind(
        "",
        "",
        short=_("Your code is %(code)s. It works for ten minutes. Nobody of us will ever ask you for it."),
    ),
}  # fmt: skip

NEEDED = {PHONE_CODE: ("code",)}
"""Values without which a text of the kind is worth nothing."""
