"""A pretend provider for the tests of signing in through others, and who signs in there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress

from backend.accounts.models import User
from tests.factories import make_user
from tests.fakes.identity_provider import IdentityProviderFake, Person, apps

PROVIDERS = ("google", "facebook", "apple")
AMINA = Person()
CALLBACK = "https://app.example.com/callback"


@pytest.fixture
def elsewhere(settings: Any) -> Iterator[IdentityProviderFake]:
    """Google, Facebook and Apple."""
    with IdentityProviderFake() as fake:
        settings.SOCIAL_APPS = apps()
        settings.SOCIAL_BASE_URLS = dict.fromkeys(PROVIDERS, fake.url)
        yield fake


def proof_of(fake: IdentityProviderFake, provider: str, person: Person = AMINA) -> dict[str, str]:
    """What an app sends to sign ``person`` in: an identity token, or Facebook's access token."""
    if provider == "facebook":
        return {"access_token": fake.access_token(person)}
    return {"id_token": fake.id_token(provider, person)}


def verified(email: str = AMINA.email, **fields: Any) -> User:
    """A user whose address is verified."""
    user = make_user(email=email, **fields)
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    return user
