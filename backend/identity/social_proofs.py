"""What a client brings to prove an identity: the provider's token or code, or a code of ours that stands for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from backend.core import addresses, limits, platform
from backend.identity import social_codes, social_providers
from backend.identity.credentials import HOUR_S
from backend.identity.sessions import Device
from backend.identity.social_providers import Given, Identity


@dataclass(frozen=True, slots=True)
class Proof:
    """``login_code`` is one of ours, with the ``verifier`` of its challenge; without it ``given`` counts."""

    provider: str
    given: Given = field(default_factory=Given)
    login_code: str = ""
    verifier: str = ""


def prove(proof: Proof, *, device: Device, now: datetime) -> Identity:
    """Whom the proof proves. Never inside a transaction, since the provider may be asked.

    Proofs that are worth nothing count by network address, as wrong passwords do.
    Raises: ProviderNotSetUp, FeatureOff, IdentityRefused, ProviderSilent, Invalid (``access_token``), Throttled.
    """
    social_providers.require_set_up(proof.provider)
    platform.require(proof.provider)
    attempt = f"social_address:{addresses.subject(device.ip or 'unknown')}"
    limits.hit(attempt, limit=platform.get("limit_sign_in_address"), window_s=HOUR_S)
    if proof.login_code:
        identity = social_codes.redeem(
            proof.login_code, provider=proof.provider, verifier=proof.verifier, now=now
        )
    else:
        identity = social_providers.identify(proof.provider, proof.given, now=now)
    limits.give_back(attempt)
    return identity
