"""The engine of cancellation against a second reading of the table, to the second and the minor unit."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.bookings import policies
from backend.bookings.policies import Cutoff, Decision, Grace, Keep, Policy, Terms

ROOT = Path(policies.__file__).parent
TABLE: dict[str, Policy] = {
    code: policies.load({"code": code, "version": 1, **rules})
    for code, rules in json.loads((ROOT / "data" / "policies.json").read_text()).items()
}
CONFIRMED = datetime(2027, 3, 1, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def make_terms(code: str = "flexible", nights: int = 4, **fields: Any) -> Terms:
    """``nights`` at 100.00 from 3 May 2027 in Lisbon, confirmed long before."""
    check_in = fields.pop("check_in", date(2027, 5, 3))
    values: dict[str, Any] = {
        "policy": TABLE[code],
        "zone": "Europe/Lisbon",
        "check_in": check_in,
        "check_out": check_in + timedelta(days=nights),
        "night_amounts": (10_000,) * nights,
        "confirmed_at": CONFIRMED,
    }
    return Terms(**{**values, **fields})


def local(text: str, zone: str = "Europe/Lisbon") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# A second reading of the table, by the wall clock and in fractions.

FULL = "full"
Row = tuple[Any, ...]
ROWS: dict[str, tuple[list[tuple[int, Any]], Any, Any]] = {
    "flexible": ([(1, FULL)], (1, 0), (1, 0)),
    "moderate": ([(5, FULL)], (1, 50), (1, 50)),
    "limited": ([(14, FULL), (7, (0, 50))], (0, 100), (0, 100)),
    "firm": ([(30, FULL), (7, (0, 50))], (0, 100), (0, 100)),
    "strict": ([(7, (0, 50))], (0, 100), (0, 100)),
    "non_refundable": ([], (0, 100), (0, 100)),
    "long_stay": ([(30, FULL)], (30, 0), (30, 0)),
}


def expected(code: str, terms: Terms, at: datetime) -> Decision:
    """What the table says, decided by comparing the listing's wall clock with the agreed times of day."""
    zone = ZoneInfo(terms.zone)
    wall = at.astimezone(zone).replace(tzinfo=None, microsecond=0)
    check_in = datetime.combine(terms.check_in, terms.check_in_time)
    confirmed = (terms.confirmed_at or at).replace(microsecond=0)
    tiers, late, stay = ROWS[code]
    nights = len(terms.night_amounts)
    in_stay = wall >= check_in
    graced = (
        nights < 28
        and confirmed.astimezone(zone).replace(tzinfo=None) <= check_in - timedelta(days=7)
        and at.replace(microsecond=0) <= confirmed + timedelta(hours=24)
    )
    rule: Any = stay if in_stay else late
    if not in_stay:
        for days, kept in tiers:
            if wall <= check_in - timedelta(days=days):
                rule = kept
                break
    if graced or rule == FULL:
        return Decision(terms.total_minor, 0, 0, 0)
    stayed = min(max((wall.date() - terms.check_in).days, 0), nights)
    whole = min(nights, stayed + rule[0])
    taxes_of = terms.night_taxes or (0,) * nights

    def kept_of(amounts: tuple[int, ...]) -> Fraction:
        return Fraction(sum(amounts[:whole])) + Fraction(sum(amounts[whole:]) * rule[1], 100)

    fees = terms.cleaning_minor + terms.other_fees_minor if in_stay else 0
    fee_taxes = terms.cleaning_taxes_minor + terms.other_taxes_minor if in_stay else 0
    host = round(kept_of(terms.night_amounts) + fees)
    taxes = round(kept_of(taxes_of) + fee_taxes)
    fee = terms.service_fee_minor
    return Decision(terms.total_minor - host - taxes - fee, host + fee, taxes, fee)


ZONES = ("Europe/Lisbon", "America/New_York", "Pacific/Kiritimati", "Pacific/Honolulu", "Asia/Kathmandu")
MINOR = st.integers(0, 10**8)


@st.composite
def stays(draw: st.DrawFn) -> tuple[str, Terms]:
    nights = draw(st.integers(1, 40))
    code = draw(st.sampled_from([code for code in ROWS if (code == "long_stay") == (nights >= 28)]))
    check_in = draw(st.dates(date(2027, 3, 20), date(2028, 11, 10)))
    zone = draw(st.sampled_from(ZONES))
    terms = make_terms(
        code,
        nights,
        check_in=check_in,
        zone=zone,
        night_amounts=tuple(draw(st.lists(MINOR, min_size=nights, max_size=nights))),
        night_taxes=tuple(draw(st.lists(MINOR, min_size=nights, max_size=nights))),
        check_in_time=draw(st.sampled_from([time(15), time(10, 30), time(0), time(23, 59)])),
        cleaning_minor=draw(MINOR),
        cleaning_taxes_minor=draw(MINOR),
        other_fees_minor=draw(MINOR),
        other_taxes_minor=draw(MINOR),
        service_fee_minor=draw(MINOR),
    )
    before = draw(st.timedeltas(timedelta(0), timedelta(days=60)))
    return code, replace(terms, confirmed_at=terms.check_in_at - before)


def instants(terms: Terms) -> list[datetime]:
    """Every boundary of a stay with the seconds around it, in order, from the confirmation on."""
    start = terms.confirmed_at
    assert start is not None
    ends = [tier.until for tier in policies.timeline(terms, start) if tier.until is not None]
    ends += [start, start + timedelta(hours=24), terms.check_in_at, terms.check_out_at]
    around = {end + offset for end in ends for offset in (-SECOND, timedelta(0), SECOND / 2, SECOND)}
    return sorted(at for at in around if at >= start)


@given(stays())
def test_decide_follows_the_table_at_every_boundary(stay: tuple[str, Terms]) -> None:
    code, terms = stay

    for at in instants(terms):
        assert policies.decide(terms, at) == expected(code, terms, at), at


@given(stays(), st.integers(0, 10**9))
def test_decide_splits_what_was_paid_and_never_gives_more_later(stay: tuple[str, Terms], paid: int) -> None:
    _code, terms = stay
    terms = replace(terms, paid_minor=paid if terms.total_minor else 0)

    found = [policies.decide(terms, at) for at in instants(terms)]

    for decision in found:
        parts = (decision.refund_minor, decision.host_keeps_minor, decision.taxes_kept_minor)
        assert sum(parts) == terms.paid
        assert min(parts) >= 0
        assert 0 <= decision.service_fee_kept_minor <= decision.host_keeps_minor
    refunds = [decision.refund_minor for decision in found]
    assert refunds == sorted(refunds, reverse=True)


@given(stays())
def test_timeline_and_decide_agree_to_the_second(stay: tuple[str, Terms]) -> None:
    _code, terms = stay
    start = terms.confirmed_at
    assert start is not None

    line = policies.timeline(terms, start)

    assert line[0].decision == policies.decide(terms, start)
    assert [tier.until is None for tier in line] == [False] * (len(line) - 1) + [True]
    for tier, following in pairwise(line):
        assert tier.until is not None
        assert tier.until.microsecond == 0
        assert tier.decision != following.decision
        assert policies.decide(terms, tier.until) == tier.decision
        assert policies.decide(terms, tier.until + SECOND - timedelta(microseconds=1)) == tier.decision
        assert policies.decide(terms, tier.until + SECOND) == following.decision
    later = (
        policies.timeline(terms, line[-2].until + SECOND) if len(line) > 1 and line[-2].until else line[-1:]
    )
    assert later == line[-1:]


@given(stays(), st.integers(0, 10**9))
def test_share_back_is_the_proportion_of_the_refund(stay: tuple[str, Terms], minor: int) -> None:
    _code, terms = stay
    at = terms.check_in_at - timedelta(days=8)
    fees = terms.fees_minor + terms.fee_taxes_minor
    whole = terms.total_minor - fees - terms.forfeited_minor

    back = policies.share_back(terms, minor, at=at)

    refund = policies.decide(replace(terms, paid_minor=None), at).refund_minor - fees
    assert back == (round(Fraction(minor * refund, whole)) if whole else 0)
    assert 0 <= back <= minor


def test_share_back_of_nights_counts_no_fee_and_fees_come_back_until_check_in() -> None:
    terms = make_terms("strict", cleaning_minor=3_000, cleaning_taxes_minor=180)

    assert policies.share_back(terms, 10_000, at=terms.check_in_at - timedelta(days=5)) == 0
    assert policies.share_back(terms, 10_000, fees_minor=500, at=terms.check_in_at - SECOND) == 500
    assert policies.share_back(terms, 10_000, fees_minor=500, at=terms.check_in_at) == 0
    assert (
        policies.share_back(terms, 10_000, fees_minor=500, at=terms.check_in_at - timedelta(days=8)) == 5_250
    )


def test_share_back_gives_all_back_while_everything_comes_back() -> None:
    terms = make_terms("firm", forfeited_minor=5_000)

    assert policies.share_back(terms, 12_345, at=local("2027-04-03 15:00")) == 12_345
    assert policies.share_back(terms, 12_345, at=local("2027-04-03 15:00:01")) == 6_172
    assert policies.share_back(terms, 12_345, at=local("2027-04-27 15:00")) == 0


def test_decide_never_gives_back_what_an_alteration_left_with_the_host() -> None:
    terms = make_terms("flexible", forfeited_minor=5_000)

    assert policies.decide(terms, local("2027-05-02 15:00")) == Decision(40_000, 5_000)
    assert policies.decide(terms, local("2027-05-02 15:00:01")) == Decision(30_000, 15_000)
    assert policies.give_back(terms) == Decision(45_000, 0)


def test_decide_scales_what_was_really_paid() -> None:
    terms = make_terms("strict", service_fee_minor=4_000, night_taxes=(500,) * 4)
    assert policies.decide(terms, local("2027-04-01 12:00")) == Decision(21_000, 24_000, 1_000, 4_000)

    half = replace(terms, paid_minor=23_001)

    assert policies.decide(half, local("2027-04-01 12:00")) == Decision(10_500, 12_001, 500, 2_000)
    assert policies.decide(replace(terms, paid_minor=0), local("2027-05-04 12:00")) == Decision(0, 0)


def test_decide_of_a_stay_that_costs_nothing_keeps_nothing() -> None:
    terms = make_terms(night_amounts=(0,))

    assert policies.decide(terms, terms.check_in_at) == Decision(0, 0)
    assert [tier.until for tier in policies.timeline(terms, CONFIRMED)] == [None]
    assert policies.share_back(terms, 500, at=CONFIRMED) == 0


@pytest.mark.parametrize(
    ("zone", "check_in", "at", "until"),
    [
        # The day before check-in, and that day, the clock changes.
        ("Europe/Lisbon", "2027-03-28", "15:00", "2027-03-27 15:00:00"),
        ("Europe/Lisbon", "2027-03-29", "15:00", "2027-03-28 14:00:00"),
        ("Europe/Lisbon", "2027-10-31", "15:00", "2027-10-30 14:00:00"),
        ("America/New_York", "2027-03-14", "15:00", "2027-03-13 20:00:00"),
        ("America/New_York", "2027-11-07", "15:00", "2027-11-06 19:00:00"),
        ("America/New_York", "2027-11-08", "15:00", "2027-11-07 20:00:00"),
        # 02:30 is skipped the day before, and comes twice.
        ("America/New_York", "2027-03-15", "02:30", "2027-03-14 07:30:00"),
        ("America/New_York", "2027-11-08", "01:30", "2027-11-07 05:30:00"),
        ("Europe/Lisbon", "2028-03-01", "15:00", "2028-02-29 15:00:00"),
        ("Europe/Lisbon", "2028-02-29", "15:00", "2028-02-28 15:00:00"),
        ("Pacific/Kiritimati", "2027-05-03", "15:00", "2027-05-02 01:00:00"),
        ("Pacific/Honolulu", "2027-05-03", "15:00", "2027-05-03 01:00:00"),
        ("Pacific/Honolulu", "2028-03-01", "00:00", "2028-02-29 10:00:00"),
        ("Asia/Kathmandu", "2027-05-03", "15:00", "2027-05-02 09:15:00"),
    ],
)
def test_cut_off_is_the_same_hour_of_the_listings_clock(
    zone: str, check_in: str, at: str, until: str
) -> None:
    terms = make_terms(zone=zone, check_in=date.fromisoformat(check_in), check_in_time=time.fromisoformat(at))

    first = policies.timeline(terms, CONFIRMED)[0]

    assert (first.until, first.decision) == (utc(until), Decision(40_000, 0))


@pytest.mark.parametrize(
    ("zone", "check_in", "midnights"),
    [
        (
            "Europe/Lisbon",
            "2027-03-27",
            ["2027-03-27 23:59:59", "2027-03-28 22:59:59", "2027-03-29 22:59:59"],
        ),
        (
            "America/New_York",
            "2027-11-06",
            ["2027-11-07 03:59:59", "2027-11-08 04:59:59", "2027-11-09 04:59:59"],
        ),
        (
            "Pacific/Kiritimati",
            "2028-02-28",
            ["2028-02-28 09:59:59", "2028-02-29 09:59:59", "2028-03-01 09:59:59"],
        ),
        (
            "Pacific/Honolulu",
            "2028-02-28",
            ["2028-02-29 09:59:59", "2028-03-01 09:59:59", "2028-03-02 09:59:59"],
        ),
        # Midnight itself is skipped: the day begins at 01:00.
        ("Africa/Cairo", "2027-04-29", ["2027-04-29 21:59:59", "2027-04-30 20:59:59", "2027-05-01 20:59:59"]),
    ],
)
def test_nights_stayed_change_at_midnight_of_the_listing(
    zone: str, check_in: str, midnights: list[str]
) -> None:
    terms = make_terms(nights=5, zone=zone, check_in=date.fromisoformat(check_in), cleaning_minor=1)

    line = policies.timeline(terms, terms.check_in_at)

    assert [tier.until for tier in line[:3]] == [utc(each) for each in midnights]
    assert [tier.decision.host_keeps_minor for tier in line] == [10_001, 20_001, 30_001, 40_001, 50_001]


def test_timeline_ends_the_last_tier_before_check_in_a_second_before_it() -> None:
    line = policies.timeline(make_terms("firm", cleaning_minor=3_000), CONFIRMED)

    assert [(tier.until, tier.decision.refund_minor) for tier in line] == [
        (local("2027-04-03 15:00"), 43_000),
        (local("2027-04-26 15:00"), 23_000),
        (local("2027-05-03 14:59:59"), 3_000),
        (None, 0),
    ]


def test_timeline_begins_with_what_holds_now_and_merges_what_is_equal() -> None:
    line = policies.timeline(make_terms("firm"), local("2027-04-26 15:00:01"))

    assert [(tier.until, tier.decision) for tier in line] == [(None, Decision(0, 40_000))]


def test_timeline_of_what_is_not_confirmed_yet_takes_now_for_it() -> None:
    terms = make_terms("strict", confirmed_at=None)
    now = local("2027-04-01 12:00:00.9")

    line = policies.timeline(terms, now)

    assert (line[0].until, line[0].decision.refund_minor) == (local("2027-04-02 12:00"), 40_000)
    assert line[1].decision.refund_minor == 20_000


@pytest.mark.parametrize(
    ("confirmed", "graced"), [("2027-04-26 15:00:00", True), ("2027-04-26 15:00:01", False)]
)
@pytest.mark.parametrize("code", ["limited", "firm", "strict", "non_refundable"])
def test_grace_needs_a_confirmation_seven_days_before(code: str, confirmed: str, graced: bool) -> None:
    terms = make_terms(code, confirmed_at=local(confirmed))

    decision = policies.decide(terms, local("2027-04-26 18:00"))

    assert decision.refund_minor == (40_000 if graced else 0)


def test_grace_never_cuts_the_full_refund_of_the_policy_short() -> None:
    terms = make_terms("flexible", confirmed_at=local("2027-04-20 12:00"))

    assert policies.timeline(terms, local("2027-04-20 12:00"))[0].until == local("2027-05-02 15:00")


@pytest.mark.parametrize(
    ("nights", "code"), [(1, "firm"), (27, "firm"), (28, "long_stay"), (29, "long_stay"), (60, "long_stay")]
)
def test_code_for_long_stays_is_their_own(nights: int, code: str) -> None:
    assert policies.code_for("firm", nights) == code


def test_a_stay_of_one_night_keeps_it_or_gives_it_back() -> None:
    for code in ROWS:
        terms = make_terms(code, nights=1)
        kept = {tier.decision.host_keeps_minor for tier in policies.timeline(terms, CONFIRMED)}
        assert kept <= {0, 5_000, 10_000}
        assert policies.decide(terms, terms.check_in_at) == Decision(0, 10_000)


def test_nights_count_at_their_own_price() -> None:
    terms = make_terms("moderate", nights=3, night_amounts=(10_000, 15_001, 20_000))

    assert policies.decide(terms, local("2027-05-03 15:00")) == Decision(17_501, 27_500)
    assert policies.decide(terms, local("2027-05-04 00:00")) == Decision(10_000, 35_001)


@pytest.mark.parametrize("code", ROWS)
def test_dump_and_load_keep_a_policy(code: str) -> None:
    assert policies.load(json.loads(json.dumps(policies.dump(TABLE[code])))) == TABLE[code]


def test_load_of_a_bare_word_promises_everything() -> None:
    terms = make_terms(policy=policies.load("strict"), cleaning_minor=500)

    assert policies.timeline(terms, CONFIRMED) == [policies.Tier(None, Decision(40_500, 0))]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {
            "code": "x",
            "version": 1,
            "tiers": [],
            "late": {"nights": "one", "percent": 0},
            "stay": None,
            "grace": None,
        },
        {"code": "x", "version": 1, "tiers": None, "late": None, "stay": None, "grace": None},
        {
            "code": "x",
            "version": 1,
            "tiers": [],
            "late": {"nights": 0, "percent": "ten"},
            "stay": None,
            "grace": None,
        },
    ],
)
def test_load_refuses_what_is_no_policy(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no policy"):
        policies.load(broken)


def test_give_more_keeps_the_parts_in_proportion() -> None:
    kept = Decision(10_000, 24_000, 6_000, 4_000)

    assert policies.give_more(kept, 10_000) == kept
    assert policies.give_more(kept, 25_000) == Decision(25_000, 12_000, 3_000, 2_000)
    assert policies.give_more(kept, 40_000) == Decision(40_000, 0)
    for refund in (9_999, 40_001):
        with pytest.raises(ValueError, match="between"):
            policies.give_more(kept, refund)


def test_timeline_of_a_policy_of_ones_own() -> None:
    policy = Policy("own", 3, (Cutoff(2, Keep(percent=Decimal("12.5"))),), Keep(2), Keep(2), Grace(2, 3))
    terms = make_terms(
        policy=policy,
        nights=3,
        zone="Africa/Nairobi",
        night_amounts=(1_000, 1_001, 1_002),
        confirmed_at=utc("2027-04-01 00:00"),
        cleaning_minor=100,
    )

    line = policies.timeline(terms, utc("2027-04-01 00:00"))

    assert [(tier.until, tier.decision.refund_minor) for tier in line] == [
        (utc("2027-04-01 02:00"), 3_103),
        (utc("2027-05-01 12:00"), 2_728),
        (utc("2027-05-03 11:59:59"), 1_102),
        (utc("2027-05-03 20:59:59"), 1_002),
        (None, 0),
    ]
