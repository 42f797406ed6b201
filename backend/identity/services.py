"""The verbs on accounts, under one name: ``from backend.identity import services as identity``."""

from __future__ import annotations

from backend.identity.credentials import InvalidCredentials, change_password
from backend.identity.mfa import CodeWrong, MfaEnabled
from backend.identity.phones import ask as ask_phone
from backend.identity.phones import verify as verify_phone
from backend.identity.profiles import (
    become_host,
    preferences_language,
    remove_photo,
    set_photo,
    update_profile,
)
from backend.identity.proofs import ask_reset, resend, reset_password, verify_email
from backend.identity.registration import EmailTaken, UsernameTaken, register
from backend.identity.sessions import (
    Device,
    RefreshRefused,
    SignedIn,
    StepUpRequired,
    authenticate,
    end_all_sessions,
    end_session,
    living,
    purge,
    refresh,
    require_recent,
    sign_out,
)
from backend.identity.signing_in import MfaRequired, finish, sign_in
from backend.identity.suspension import grant_role, restore, revoke_role, suspend

__all__ = [
    "CodeWrong",
    "Device",
    "EmailTaken",
    "InvalidCredentials",
    "MfaEnabled",
    "MfaRequired",
    "RefreshRefused",
    "SignedIn",
    "StepUpRequired",
    "UsernameTaken",
    "ask_phone",
    "ask_reset",
    "authenticate",
    "become_host",
    "change_password",
    "end_all_sessions",
    "end_session",
    "finish",
    "grant_role",
    "living",
    "preferences_language",
    "purge",
    "refresh",
    "register",
    "remove_photo",
    "require_recent",
    "resend",
    "reset_password",
    "restore",
    "revoke_role",
    "set_photo",
    "sign_in",
    "sign_out",
    "suspend",
    "update_profile",
    "verify_email",
    "verify_phone",
]
