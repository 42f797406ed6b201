"""Reviews and the queue of appeals in the back office."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from backend.audit.models import AuditEntry
from backend.reviews import services as reviews
from backend.reviews.models import Review
from tests.admin_site.test_actions import act, shown_actions
from tests.admin_site.world import signed_in, staff
from tests.factories import NOW, make_listing, make_user
from tests.reviews.making import published, review, stayed

pytestmark = pytest.mark.usefixtures("db")

LIST = "/admin/reviews/review/"
LATER = NOW + timedelta(days=80)


def page_of(made: Review) -> str:
    return reverse("admin:reviews_review_change", args=(made.pk,))


def hidden(*, appeal: str = "") -> Review:
    made = published(make_listing(), 1)
    reviews.hide(
        actor=make_user("moderator", is_staff=True), review_id=made.pk, reason="Zebrareason", now=LATER
    )
    if appeal:
        reviews.appeal(actor=made.author, review_id=made.pk, text=appeal, now=LATER)
    made.refresh_from_db()
    return made


@pytest.mark.parametrize("role", ["support", "moderator", "admin"])
def test_nobody_of_the_staff_sees_what_is_sealed_or_private(role: str) -> None:
    booking = stayed()
    sealed = review(booking, comment="Zebrasealed", private_note="Zebranote")
    client = signed_in(staff(role))

    assert list(client.get(LIST).context["cl"].result_list) == []
    assert client.get(page_of(sealed), follow=True).content.count(b"Zebra") == 0
    assert act(client, sealed, "hide", reason="Early").status_code in (403, 404)

    review(booking, booking.host)
    page = client.get(page_of(sealed)).content.decode()
    assert ("Zebrasealed" in page, "Zebranote" in page) == (True, False)
    assert "Zebranote" not in client.get(LIST).content.decode()


def test_support_reads_no_appeals_and_decides_nothing() -> None:
    made = hidden(appeal="Zebraappeal")
    seen = {}
    for role in ("support", "moderator", "admin"):
        client = signed_in(staff(role))
        text = client.get(page_of(made)).content.decode()
        seen[role] = ("Zebraappeal" in text, "Zebrareason" in text, bool(shown_actions(client, made)))

    assert seen == {
        "support": (False, False, False),
        "moderator": (True, True, True),
        "admin": (True, True, True),
    }
    assert act(signed_in(staff("support")), made, "unhide", reason="Kind").status_code == 403
    made.refresh_from_db()
    assert made.status == "hidden"


def test_open_appeals_come_first_and_can_be_filtered() -> None:
    first, appealed = published(make_listing(), 5), hidden(appeal="Why?")
    plain = hidden()
    client = signed_in(staff("moderator"))

    def listed(**query: str) -> list[Review]:
        rows = client.get(LIST, query).context["cl"].result_list
        return [row for row in rows if row.about == "property"]

    assert listed() == [appealed, plain, first]
    assert listed(appeal="open") == [appealed]
    assert listed(status__exact="hidden") == [appealed, plain]
    assert listed(rating="5") == [first]
    assert listed(rating="nonsense") == [appealed, plain, first]
    assert listed(q=first.booking.reference.lower()) == [first]
    assert listed(q=appealed.author.username) == [appealed]
    assert listed(q="nobody") == []


def test_hide_and_show_again_take_a_reason() -> None:
    made, moderator = published(make_listing(), 1), staff("moderator")
    client = signed_in(moderator)
    assert shown_actions(client, made) == {"Hide"}

    refused = act(client, made, "hide", reason=" ")
    made.refresh_from_db()
    assert (refused.status_code, made.status) == (200, "published")
    act(client, made, "hide", reason="It names a neighbour")
    made.refresh_from_db()
    assert (made.status, made.hidden_reason) == ("hidden", "It names a neighbour")
    assert shown_actions(client, made) == {"Show again"}
    act(client, made, "unhide", reason="It does not")

    made.refresh_from_db()
    assert made.status == "published"
    entries = AuditEntry.objects.filter(actor=moderator).order_by("pk")
    assert list(entries.values_list("action", "reason", "door")) == [
        ("review.hide", "It names a neighbour", "admin"),
        ("review.unhide", "It does not", "admin"),
    ]


@pytest.mark.parametrize(
    ("action", "status", "outcome"), [("uphold", "hidden", "upheld"), ("unhide", "published", "granted")]
)
def test_appeal_is_decided_here(action: str, status: str, outcome: str) -> None:
    made, client = hidden(appeal="I named nobody"), signed_in(staff("moderator"))
    assert shown_actions(client, made) == {"Show again", "Keep hidden"}

    act(client, made, action, reason="We have looked")

    made.refresh_from_db()
    assert (made.status, made.appeal_outcome, made.appeal_reason) == (status, outcome, "We have looked")
    assert AuditEntry.objects.get(action="review.decide_appeal").after == {"outcome": outcome}


def test_nobody_judges_a_review_of_their_own_place() -> None:
    moderator = staff("moderator")
    made, client = published(make_listing(moderator), 1), signed_in(moderator)

    assert shown_actions(client, made) == set()
    assert act(client, made, "hide", reason="Mine").status_code == 403
    made.refresh_from_db()
    assert made.status == "published"


def test_what_people_wrote_is_text() -> None:
    booking = stayed()
    made = review(booking, comment="<script>alert('review')</script>\n{{ 7*7 }}")
    review(booking, booking.host)
    client = signed_in(staff("admin"))

    for address in (LIST, page_of(made)):
        assert b"<script>alert('review')" not in client.get(address).content
    assert "&lt;script&gt;alert(&#x27;review&#x27;)" in client.get(page_of(made)).content.decode()
