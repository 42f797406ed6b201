"""Letters that prove something say what staff wrote, and still prove what they are for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.utils import timezone

from backend.accounts.models import Profile, User
from backend.core import platform
from backend.core.errors import Invalid, NotFound
from backend.core.models import SettingVersion
from backend.identity import proofs
from backend.identity import services as identity
from backend.notifications import preview, wording
from backend.notifications.kinds import KINDS
from backend.notifications.letter_kinds import LETTERS
from tests.factories import NOW, make_user
from tests.identity.post import Post, text_of

pytestmark = pytest.mark.usefixtures("db")

DEVICE = identity.Device("203.0.113.7", "Firefox")


@pytest.fixture
def post(tmp_path: Path, settings: Any) -> Post:
    return Post(tmp_path, settings)


def french() -> User:
    user = make_user(username="ana", email="ana@example.com")
    Profile.objects.filter(user=user).update(language="fr")
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=False)
    return User.objects.select_related("profile").get(pk=user.pk)


def say(kind: str, **texts: str) -> None:
    platform.put(wording.key_of(kind, "fr"), texts)


def test_the_letter_that_proves_an_address_says_the_platforms_own_words(post: Post) -> None:
    user = french()
    say("letter.verify_email", title="Bienvenue <b>!</b>", subject="Votre adresse", body="Clé: {key}")

    proofs.resend(actor=user, now=timezone.now())

    (mail,) = post.mails()
    assert (mail["subject"], mail["to"]) == ("Votre adresse", "ana@example.com")
    key = re.search(r"Clé: (\S+)", text_of(mail))
    assert key is not None
    html = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert html.count("Bienvenue &lt;b&gt;!&lt;/b&gt;") >= 2
    proofs.verify_email(key=key[1], now=timezone.now())
    assert EmailAddress.objects.get(user=user).verified


def test_a_letter_without_its_secret_in_the_words_has_it_in_the_button(post: Post) -> None:
    user = french()
    say("letter.reset_password", body="Utilisez le bouton.")

    proofs.ask_reset(email=user.email, device=DEVICE, now=timezone.now())

    (mail,) = post.mails()
    token = re.search(r"#token=(\S+)", text_of(mail))
    assert token is not None
    identity.reset_password(token=token[1], new="battery-staple-7", device=DEVICE, now=timezone.now())
    user.refresh_from_db()
    assert user.check_password("battery-staple-7")


def test_the_former_address_is_told_in_the_platforms_own_words(post: Post) -> None:
    user = french()
    say("letter.email_changed", body="{name} a une autre adresse.")

    identity.update_profile(actor=user, user=user, changes={"email": "b@example.org"}, now=timezone.now())

    told = {mail["to"]: text_of(mail) for mail in post.mails()}
    assert "ana a une autre adresse." in told["ana@example.com"]
    assert "a une autre adresse." not in told["b@example.org"]


def test_the_code_for_a_phone_is_texted_in_the_platforms_own_words(post: Post) -> None:
    user = french()
    say("letter.phone_code", short="Karibu : {code}, à garder pour vous")

    identity.ask_phone(actor=user, phone="+254712345678", now=timezone.now())

    (message,) = post.messages()
    code = re.fullmatch(r"To: \+254712345678\n\nKaribu : (\d{6}), à garder pour vous\n", message)
    assert code is not None
    identity.verify_phone(actor=user, code=code[1], now=timezone.now())
    assert Profile.objects.get(user=user).phone_verified_at is not None


@pytest.mark.parametrize(
    ("kind", "texts", "code"),
    [
        ("letter.phone_code", {"short": "Hello"}, "missing_value"),
        ("letter.phone_code", {"short": "{key} {code}"}, "unknown_value"),
        ("letter.phone_code", {"title": "Code"}, "invalid_setting"),
        ("letter.verify_email", {"body": "{token}"}, "unknown_value"),
        ("letter.verify_email", {"short": "{key}"}, "invalid_setting"),
    ],
)
def test_words_that_make_no_letter_are_refused(kind: str, texts: dict[str, str], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        say(kind, **texts)

    assert [error.code for error in refused.value.errors] == [code]
    assert not SettingVersion.objects.exists()


@pytest.mark.parametrize("kind", LETTERS)
def test_every_letter_is_shown_in_every_language_and_stays_what_was_shipped(kind: str) -> None:
    boss = make_user("admin")
    for language in ("en", "fr", "es", "sw", "ar"):
        texts = {part: wording.shipped(kind, part, language) for part in wording.parts_of(kind)}
        setting = platform.find(wording.key_of(kind, language))
        assert setting is not None
        assert setting.parse(texts) == texts
        shown = preview.show(actor=boss, kind=kind, language=language, now=NOW)
        assert (bool(shown.html), bool(shown.text), bool(shown.sms)) == (
            (False, False, True) if kind == "letter.phone_code" else (True, True, False)
        )
        assert "[" not in shown.sms + shown.subject
        assert "–" not in shown.sms


def test_a_letter_is_about_nothing_that_has_a_reference() -> None:
    with pytest.raises(NotFound):
        preview.show(
            actor=make_user("admin"), kind="letter.verify_email", language="en", now=NOW, reference="KB7Q2M"
        )


def test_letters_are_no_notices_that_one_could_do_without() -> None:
    assert set(LETTERS) & set(KINDS) == set()
