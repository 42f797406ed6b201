"""The form at the door of the back office: a name, a password, and for those who have set it up the second step."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import authenticate
from django.utils.translation import gettext_lazy as _
from unfold.forms import AuthenticationForm
from unfold.widgets import BASE_INPUT_CLASSES


class LoginForm(AuthenticationForm):
    """As Django's, with a code of the app. Whatever is wrong, the answer is the same."""

    code = forms.CharField(
        label=_("Code of your app"),
        required=False,
        max_length=20,
        help_text=_("Only if you have turned the second step on. A recovery code will do."),
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "inputmode": "numeric",
                "class": " ".join(BASE_INPUT_CLASSES),
            }
        ),
    )

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        username, password = given.get("username"), given.get("password")
        if username is not None and password:
            self.user_cache = authenticate(
                self.request, username=username, password=password, code=given.get("code", "")
            )
            if self.user_cache is None:
                raise self.get_invalid_login_error()
            self.confirm_login_allowed(self.user_cache)
        return given
