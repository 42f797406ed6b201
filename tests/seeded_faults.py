"""Takes guards away, one at a time, and sees to it that a test notices: ``.venv/bin/python -m tests.seeded_faults``.

Works on a copy of the tree with a throw-away PostgreSQL. First the tests that are named here must pass as they are; then
each guard is replaced in its file and its test must fail. Prints a table, ends with 1 where a fault was not caught.
Words on the command line choose the faults whose names contain one of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from backend.local.commands import throwaway_state
from backend.local.servers import Servers, environment
from backend.local.state import ROOT

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".venv.lock", "var", "__pycache__", "*.pyc")
FAILED = 1
"""pytest's exit code for tests that ran and failed; a broken import is another one, and catches nothing."""


@dataclass(frozen=True)
class Fault:
    """``old`` in ``file`` becomes ``new``; ``test`` (pytest's name for it) must fail then.

    What ``is_built_in`` the database takes a new one. Such faults stand last: theirs is what they leave behind.
    """

    guard: str
    file: str
    old: str
    new: str
    test: str
    is_built_in: bool = False


IDENTITY, CORE = "backend/identity", "backend/core"

FAULTS = [
    Fault(
        "a session that ended opens nothing",
        f"{IDENTITY}/sessions.py",
        "AND s.user_id = %(user)s AND s.revoked_at IS NULL AND s.expires_at > %(now)s",
        "AND s.user_id = %(user)s AND s.expires_at > %(now)s",
        "tests/identity/test_sessions.py::test_sign_out_kills_both_tokens_at_once_and_only_of_this_session",
    ),
    Fault(
        "a token speaks for the user of its session only",
        f"{IDENTITY}/sessions.py",
        "WHERE s.id = %(session)s AND s.user_id = %(user)s AND",
        "WHERE s.id = %(session)s AND (s.user_id = %(user)s OR TRUE) AND",
        "tests/identity/test_closed_accounts.py::test_a_token_speaks_for_the_user_of_its_session_only",
    ),
    Fault(
        "the suspended are out",
        f"{IDENTITY}/sessions.py",
        "AND u.is_active AND u.suspended_at IS NULL",
        "AND u.is_active",
        "tests/identity/test_closed_accounts.py::test_the_state_of_the_account_alone_shuts_out",
    ),
    Fault(
        "the erased and the inactive are out",
        f"{IDENTITY}/sessions.py",
        "AND u.is_active AND u.suspended_at IS NULL",
        "AND u.suspended_at IS NULL",
        "tests/identity/test_closed_accounts.py::test_the_state_of_the_account_alone_shuts_out",
    ),
    Fault(
        "access tokens run out",
        f"{IDENTITY}/tokens.py",
        "parsed.check_exp(current_time=now)",
        "parsed.payload",
        "tests/identity/test_sessions.py::test_authenticate_ends_with_the_ten_minutes_of_the_token",
    ),
    Fault(
        "tokens are signed by our key",
        f"{IDENTITY}/tokens.py",
        '"verify_exp": False,',
        '"verify_exp": False, "verify_signature": False, "verify_aud": False, "verify_iss": False,',
        "tests/identity/test_sessions.py::test_authenticate_refuses_other_keys_and_algorithms",
    ),
    Fault(
        "a refresh token used twice ends its session",
        f"{IDENTITY}/sessions.py",
        "        _end_reused(session, now=now)\n        raise RefreshRefused",
        "        raise RefreshRefused",
        "tests/identity/test_sessions.py::test_refresh_reused_after_ten_seconds_ends_the_session",
    ),
    Fault(
        "the successor is given again for ten seconds only",
        f"{IDENTITY}/sessions.py",
        "refresh_number=newest, rotated_at__gte=now - GRACE",
        "refresh_number=newest",
        "tests/identity/test_sessions.py::test_refresh_reused_after_ten_seconds_ends_the_session",
    ),
    Fault(
        "the second step is asked for",
        f"{IDENTITY}/signing_in.py",
        "        if facts.has_second_step:",
        "        if False:",
        "tests/identity/test_mfa.py::test_sign_in_takes_both_steps",
    ),
    Fault(
        "the second step is asked for after another provider's first",
        f"{IDENTITY}/signing_in.py",
        "if mfa.is_on(user) else None",
        "if False else None",
        "tests/identity/test_social.py::test_second_step_is_asked_for",
    ),
    Fault(
        "the second step is asked for at the back office too",
        f"{IDENTITY}/backends.py",
        "mfa.is_on(",
        "not mfa.is_on(",
        "tests/identity/test_mfa.py::test_back_office_asks_for_the_second_step_too",
    ),
    Fault(
        "money and identity need a recent sign-in",
        f"{IDENTITY}/sessions.py",
        "        raise StepUpRequired\n",
        "        return\n",
        "tests/identity/test_proofs.py::test_another_address_needs_a_sign_in_of_the_last_ten_minutes",
    ),
    Fault(
        "failed sign-ins are counted by account",
        f"{IDENTITY}/credentials.py",
        'attempt = _count(f"account:{user.pk}" if user else f"name:{folded(login)}", user, device, now)',
        'attempt = _count(f"account:{now.timestamp()}", user, device, now)',
        "tests/api/test_accounts.py::test_login_stops_after_ten_failures_of_an_account_and_still_hears_a_known_device",
    ),
    Fault(
        "an unknown account takes as long as a known one",
        f"{IDENTITY}/credentials.py",
        "    check_password(looked_at, _nobodys())\n",
        "",
        "tests/api/test_accounts.py::test_login_works_as_long_for_an_unknown_account_as_for_a_known_one",
    ),
    Fault(
        "a reset token is good once",
        f"{IDENTITY}/proofs.py",
        'if not may_sign_in(user) or not default_token_generator.check_token(user, token.partition("-")[2]):',
        "if not may_sign_in(user):",
        "tests/identity/test_proofs.py::test_reset_sets_the_password_once_and_ends_every_session",
    ),
    Fault(
        "only trusted proxies say whose address it is",
        f"{CORE}/addresses.py",
        "    if _within(address, networks):\n        for hop",
        "    if forwarded_for:\n        for hop",
        "tests/core/test_addresses.py::test_client_address_believes_trusted_hops_only",
    ),
    Fault(
        "anonymous reads are limited",
        "api/throttling.py",
        '    if is_read(request, view) and not request.headers.get("Authorization"):',
        "    if False:",
        "tests/api/test_ground_limits.py::test_anonymous_reads_are_counted_and_then_refused",
    ),
    Fault(
        "a kept page is none from before a change",
        "api/page_store.py",
        "page.mark == mark and page.age_ms",
        "page.age_ms",
        "tests/api/test_page_store.py::test_request_that_changes_something_leaves_no_page_fresh",
    ),
    Fault(
        "nobody gets somebody's page",
        "api/page_store.py",
        'if request.method != "GET" or sent.get("HTTP_AUTHORIZATION"):',
        'if request.method != "GET":',
        "tests/api/test_page_store.py::test_somebodys_answers_are_neither_kept_nor_taken_from_the_store",
    ),
    Fault(
        "a blocked network stays out",
        f"{CORE}/firewall.py",
        "        if not self.blocked and not self.allowed:\n            return OPEN",
        "        return OPEN",
        "tests/core/test_firewall.py::test_a_blocked_network_stays_out_with_every_address_of_it",
    ),
    Fault(
        "fetch is permission: bookings",
        "backend/bookings/models/booking.py",
        '        return self.filter(Q(guest_id=actor.pk) | hosted_by(actor, "bookings"))',
        "        return self",
        "tests/api/test_bookings.py::test_foreign_bookings_do_not_exist",
    ),
    Fault(
        "fetch is permission: documents",
        "backend/payments/models/document.py",
        "        return self.filter(recipient_id=actor.pk)",
        "        return self",
        "tests/api/test_invoices.py::test_papers_are_nobody_elses",
    ),
    Fault(
        "a paused listing is nobody else's to see",
        "backend/listings/models.py",
        "        return self.filter(known)",
        "        return self",
        "tests/api/test_calendar.py::test_read_of_a_listing_that_is_not_published_is_not_found_for_others",
    ),
    Fault(
        "a grant opens its own and nothing else",
        "backend/listings/cohosts.py",
        "(mine.filter(permission__codename__in=_codenames(grants)) if grants else mine)",
        "mine",
        "tests/listings/test_cohosts.py::test_each_grant_opens_its_own_and_nothing_else",
    ),
    Fault(
        "co-hosts do not answer themselves",
        "backend/bookings/steps.py",
        "return booking.guest_id != actor.pk and stands_in(actor, booking.listing, BOOKINGS)",
        "return stands_in(actor, booking.listing, BOOKINGS)",
        "tests/listings/test_cohosts.py::test_who_deals_with_bookings_never_stands_on_both_sides",
    ),
    Fault(
        "hosts are who may list places",
        "backend/listings/access.py",
        '    return actor.has_role("host")',
        "    return True",
        "tests/api/test_properties.py::test_create_is_for_hosts",
    ),
    Fault(
        "unknown fields are refused",
        "api/types.py",
        'ConfigDict(extra="forbid", allow_inf_nan=False)',
        'ConfigDict(extra="ignore", allow_inf_nan=False)',
        "tests/api/test_ground_input.py::test_body_of_wrong_shape_names_the_field",
    ),
    Fault(
        "no NUL and no lone surrogate reaches the database",
        "api/parsing.py",
        'return "\\x00" not in text and (text.isascii()',
        "return text == text or (text.isascii()",
        "tests/api/test_ground_input.py::test_path_that_names_nothing_possible_is_not_found",
    ),
    Fault(
        "bodies are bounded",
        "api/bodies.py",
        "JSON_LIMIT = 1024 * 1024\n",
        "JSON_LIMIT = 1024**4\n",
        "tests/api/test_ground_input.py::test_body_over_the_limit_is_too_large",
    ),
    Fault(
        "pictures have at most forty megapixels",
        f"{CORE}/images.py",
        "if picture.width * picture.height > MAX_PIXELS:",
        "if picture.width < 0:",
        "tests/core/test_images.py::test_reencode_refuses_a_bomb_by_its_header",
    ),
    Fault(
        "nothing of a picture is kept but its pixels",
        f"{CORE}/images.py",
        "    with _decoding:\n        return _write(_decode(file, max_side, field), max_side)",
        "    with _decoding:\n        made = _write(_decode(file, max_side, field), max_side)\n        file.seek(0)\n"
        "        return Image(ContentFile(file.read(), name=made.content.name), made.width, made.height)",
        "tests/core/test_images.py::test_reencode_turns_upright_and_drops_exif_gps_and_comments",
    ),
    Fault(
        "foreign addresses lead to the internet only",
        f"{CORE}/net.py",
        "        if not all(is_public(each) for each in found):",
        "        if not found:",
        "tests/core/test_net.py::test_fetch_refuses_what_leads_elsewhere",
    ),
    Fault(
        "no redirect is followed",
        f"{CORE}/net.py",
        '        raise FetchFailed("redirect")',
        '        return Fetched(200, b"", **kept)',
        "tests/core/test_net.py::test_fetch_follows_no_redirect",
    ),
    Fault(
        "the back office has a content security policy",
        "admin_site/frame/site.py",
        'response.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)',
        'response.setdefault("Content-Security-Policy", "")',
        "tests/api/test_entrance.py::test_every_answer_says_what_browsers_may_do",
    ),
    Fault(
        "foreign pages open no socket",
        "realtime/door.py",
        "or origin not in known:",
        "or False:",
        "tests/realtime/test_door.py::test_origins_are_the_servers_own_only_and_exactly",
    ),
    Fault(
        "a ticket opens one socket",
        "backend/notifications/tickets.py",
        '"DELETE FROM socket_tickets WHERE hash = %s RETURNING user_id, session_id, expires_at > %s",\n'
        "            [_hash(ticket), now],",
        '"SELECT user_id, session_id, expires_at > %s FROM socket_tickets WHERE hash = %s",\n'
        "            [now, _hash(ticket)],",
        "tests/realtime/test_door.py::test_a_ticket_is_redeemed_once_and_until_its_last_moment",
    ),
    Fault(
        "the back office's actions ask for the role",
        "admin_site/frame/actions.py",
        "            permissions=[permission],\n",
        "            permissions=[],\n",
        "tests/admin_site/test_actions.py::test_moderation_is_for_moderators",
    ),
    Fault(
        "operations ask for themselves, whatever door they come by",
        f"{IDENTITY}/suspension.py",
        '    access.require(actor, "user.suspend", user)\n    why = required_reason(reason)',
        "    why = required_reason(reason)",
        "tests/identity/test_suspension.py::test_suspend_and_grant_are_refused_to_who_may_not",
    ),
    Fault(
        "staff say why, at the operation too",
        "backend/listings/cohosts.py",
        '        if not why:\n            raise Invalid.field("reason", "required", _("Say why."))\n        before',
        "        before",
        "tests/admin_site/test_cohosts.py::test_withdraw_needs_a_reason_and_somebody_who_may",
    ),
    Fault(
        "no account is erased while money is open",
        "backend/privacy/erasure.py",
        "        obstacles.require_none(user, now)\n",
        "",
        "tests/privacy/test_obstacles.py::test_the_refusal_says_which_and_changes_nothing",
    ),
    Fault(
        "an audit log that was made anew is found",
        "backend/audit/chain.py",
        "def _made_by_us(made: AuditSeal, *keys: str) -> bool:",
        "def _made_by_us(made: AuditSeal, *keys: str) -> bool:\n    return True\n\n\ndef _unasked(made: AuditSeal, *keys: str) -> bool:",
        "tests/audit/test_chain.py::test_digests_that_were_made_anew_are_found_by_the_key",
    ),
    Fault(
        "personal data are masked for who may not see them",
        "admin_site/frame/masking.py",
        "bool(reader.is_authenticated and reader.has_role(*SEES[kind]))",
        "True",
        "tests/admin_site/test_masking.py::test_pages_show_each_role_what_it_may_see",
    ),
    Fault(
        "erased people are known to nobody",
        "backend/identity/profiles.py",
        "    if not user.is_active or user.suspended_at is not None:\n        raise NotFound",
        "    if user.pk < 0:\n        raise NotFound",
        "tests/privacy/test_erasure.py::test_everybody_else_meets_a_nameless_person_at_once",
    ),
    Fault(
        "the audit log is written once",
        "backend/core/states.py",
        "REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM PUBLIC, CURRENT_USER;",
        "",
        "tests/audit/test_services.py::test_the_log_is_written_once",
        is_built_in=True,
    ),
]


def main(chosen: list[str]) -> int:
    """Try the faults whose names contain one of ``chosen`` (none: all); 1 where one was not caught."""
    faults = [fault for fault in FAULTS if not chosen or any(word in fault.guard for word in chosen)]
    with tempfile.TemporaryDirectory(prefix="karibu-faults-") as folder, throwaway_state() as state:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        data = ROOT.parent / "shared"
        if data.exists():
            (Path(folder) / "shared").symlink_to(data)
        with Servers(state, throwaway=True) as servers:
            env = {**os.environ, **environment(state, servers.urls()), "ENVIRONMENT": "test"}
            whole = sorted({fault.test for fault in faults})
            if (code := _pytest(tree, env, whole)) != 0:
                _say(f"The tests do not pass as they are (pytest ended with {code}).")
                return 1
            missed = [fault for fault in faults if not _caught(tree, env, fault)]
    _say(f"{len(faults) - len(missed)} of {len(faults)} caught.")
    return 1 if missed else 0


def _caught(tree: Path, env: dict[str, str], fault: Fault) -> bool:
    path = tree / fault.file
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) < 1:
        _say(f"GONE        {fault.guard}: {fault.file} no longer says what was to be replaced")
        return False
    started = time.monotonic()
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    try:
        code = _pytest(tree, env, [fault.test], "--create-db" if fault.is_built_in else "--reuse-db")
    finally:
        path.write_text(text, encoding="utf-8")
    said = "caught" if code == FAILED else f"MISSED ({code})"
    _say(f"{said:12}{fault.guard}  ·  {fault.test}  ·  {time.monotonic() - started:.0f} s")
    return code == FAILED


def _pytest(tree: Path, env: dict[str, str], tests: list[str], database: str = "--reuse-db") -> int:
    command = [
        sys.executable,
        "-B",
        "-m",
        "pytest",
        database,
        "-x",
        "--show-capture=no",
        "--tb=line",
        *tests,
    ]
    return subprocess.run(
        command, cwd=tree, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    ).returncode


def _say(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201 - what the command is for


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
