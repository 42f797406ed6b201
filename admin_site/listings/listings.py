"""Listings: what is offered, how it looks, and the judgment of moderators."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from admin_site.bookings.calendars import ListingCalendar, SetDates, TakenNights
from admin_site.frame import fields, finding, masking
from admin_site.frame.actions import DANGER, SUCCESS, WARNING, ReasonForm, dialog_action
from admin_site.frame.base import Page, Rows
from admin_site.frame.display import LISTING_COLOURS, label, link, money, url_of, weekdays
from admin_site.frame.revealing import Shown, reveal_action
from admin_site.listings.feeds import Feeds, Subscribers
from admin_site.listings.listing_pictures import thumbnail_url
from admin_site.listings.listing_texts import Texts
from admin_site.people.cohosts import CoHosts
from admin_site.rates.pricing import StayForm, explain
from admin_site.rates.rate_actions import OVER, ListingRates
from admin_site.rates.rate_rows import Codes, Fees, PriceRules, Taxes
from backend.core import access
from backend.listings import amenities, revealing
from backend.listings.models import Listing, ListingTransition, Photo
from backend.listings.states import TRANSITIONS, ListingStatus
from backend.moderation import deciding, reasons
from backend.moderation.models import LISTING, Case, Decision


class Photos(Rows):
    model = Photo
    verbose_name_plural = _("Photos")
    fields = ("picture", "caption", "position", "is_cover", "created_at")
    readonly_fields = fields
    ordering = ("position", "id")

    @display(description=_("picture"))
    def picture(self, photo: Photo) -> str:
        return format_html('<img src="{}" alt="" loading="lazy" class="ko-photo">', thumbnail_url(photo))


class Steps(Rows):
    model = ListingTransition
    verbose_name_plural = _("Steps")
    fields = ("at", "old", "new", "actor", "reason")
    readonly_fields = fields
    ordering = ("-seq",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ListingTransition]:
        return super().get_queryset(request).select_related("actor")


class RejectForm(ReasonForm):
    """Which reason, and words of one's own behind its sentence."""

    code = fields.choice(_("What is wrong"), reasons.choices(LISTING), initial=reasons.OTHER, required=False)
    field_order = ("code", "reason")

    def clean_code(self) -> str:
        return self.cleaned_data["code"] or reasons.OTHER


def _judge(request: HttpRequest, row: Listing, decision: str, given: dict[str, Any]) -> None:
    deciding.judge_listing(
        actor=request.user,
        listing=row,
        action=decision,
        code=given.get("code", ""),
        words=given["reason"],
        now=timezone.now(),
    )


@admin.register(Listing)
class ListingPage(ListingRates, ListingCalendar, Page):
    icon = "home_work"
    list_display = ("place", "host_link", "state", "nightly", "rated", "updated_at")
    list_filter = (("status", ChoicesDropdownFilter), ("room_type", ChoicesDropdownFilter))
    list_filter_submit = True
    search_fields = ("title",)
    search_help_text = _("Title, city or host")
    ordering = ("-id",)
    inlines = (
        *(Photos, PriceRules, Fees, Taxes, Codes, SetDates, TakenNights, Feeds, Subscribers),
        *(CoHosts, Texts),
        Steps,
    )
    in_tabs = frozenset({"set_dates", *(name for names in OVER.values() for name in names)})
    actions_detail = (
        "picture",
        "price_a_stay",
        "change_rules",
        "approve",
        "flag",
        "reject",
        "reveal",
        *sorted(in_tabs),
    )
    offered = {
        "approve": lambda row: (
            row.status in (ListingStatus.PENDING_REVIEW, ListingStatus.FLAGGED, ListingStatus.REJECTED)
        ),
        "flag": lambda row: TRANSITIONS.allows(row.status, ListingStatus.FLAGGED),
        "reject": lambda row: TRANSITIONS.allows(row.status, ListingStatus.REJECTED),
    }
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("title", "host_link"),
                    ("state", "status_reason", "last_case"),
                    ("nightly", "weekend"),
                    ("cleaning", "extra_guest"),
                    "description",
                )
            },
        ),
        (
            _("Place"),
            {
                "classes": ("tab",),
                "fields": (
                    ("property_type", "room_type"),
                    ("max_guests", "guests_included"),
                    ("bedrooms", "beds", "bathrooms"),
                    "has",
                    ("location", "timezone"),
                    ("street", "door"),
                    ("postcode", "city", "country"),
                    ("lat", "lng"),
                ),
            },
        ),
        (
            _("Rules"),
            {
                "classes": ("tab",),
                "fields": (
                    ("instant_book", "cancellation_policy"),
                    ("check_in_time", "check_out_time"),
                    ("min_nights", "max_nights", "nights_by_weekday"),
                    ("arrivals", "departures"),
                    ("advance_notice_hours", "same_day_cutoff_hour", "allow_request_inside_notice"),
                    ("booking_window_days", "preparation_days_before", "preparation_days_after"),
                    "house_rules",
                ),
            },
        ),
        (
            _("Record"),
            {
                "classes": ("tab",),
                "fields": (
                    ("created_at", "updated_at", "published_at"),
                    ("rating", "review_count"),
                    ("source", "source_id"),
                ),
            },
        ),
    )
    readonly_fields = (
        *("host_link", "state", "last_case", "nightly", "weekend", "cleaning", "extra_guest", "has"),
        *("nights_by_weekday", "arrivals", "departures"),
        *("street", "door", "postcode", "lat", "lng"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Listing]:
        covers = Prefetch("photos", Photo.objects.filter(is_cover=True), to_attr="covers")
        return super().get_queryset(request).select_related("host").prefetch_related(covers)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Listing], search_term: str
    ) -> tuple[QuerySet[Listing], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(title__icontains=term) | Q(city__istartswith=term) | Q(host__in=finding.people_ids(term))
        return queryset.filter(found), False

    def has_moderate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "listing.moderate", row)

    @dialog_action(
        title=_("Approve"),
        question=_("Guests can find and book it at once. The host is told."),
        done=_("The listing is published."),
        permission="moderate",
        icon="check_circle",
        variant=SUCCESS,
    )
    def approve(self, request: HttpRequest, row: Listing, given: dict[str, Any]) -> None:
        _judge(request, row, Decision.Action.APPROVE, given)

    @dialog_action(
        title=_("Flag"),
        question=_("It is hidden while you look at it; its bookings stay. The host reads the reason."),
        done=_("The listing is flagged."),
        permission="moderate",
        icon="flag",
        variant=WARNING,
    )
    def flag(self, request: HttpRequest, row: Listing, given: dict[str, Any]) -> None:
        _judge(request, row, Decision.Action.FLAG, given)

    @dialog_action(
        title=_("Reject"),
        question=_(
            "It is taken off the marketplace; its bookings stay. The host reads the reason, may change the listing "
            "and offer it again."
        ),
        done=_("The listing is rejected."),
        permission="moderate",
        icon="cancel",
        variant=DANGER,
        form_class=RejectForm,
    )
    def reject(self, request: HttpRequest, row: Listing, given: dict[str, Any]) -> None:
        _judge(request, row, Decision.Action.REJECT, given)

    def has_reveal_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        is_masked = not masking.sees(masking.ADDRESS)
        return row is not None and is_masked and access.can(request.user, "listing.reveal", row)

    @reveal_action(
        question=_("Shows where this place is, to the door. The audit log keeps that you have seen it.")
    )
    def reveal(self, request: HttpRequest, row: Listing, reason: str) -> Shown:
        where = revealing.address(actor=request.user, listing=row, reason=reason, now=timezone.now())
        return [
            (_("address"), where.line1),
            (_("address, second line"), where.line2),
            (_("postal code"), where.postal_code),
            (_("latitude and longitude"), where.point),
        ]

    @action(description=_("Price a stay"), url_path="price-a-stay", permissions=["view"], icon="calculate")
    def price_a_stay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What a stay would cost, and whether it can be booked. Asked by GET: it changes nothing and can be passed on."""
        listing = self.get_row(request, object_id)
        if listing is None:
            raise Http404
        asked = "check_in" in request.GET
        form = StayForm(request.GET if asked else None)
        explained = None
        if asked and form.is_valid():
            explained = explain(listing, form, form.cleaned_data["asked_at"] or timezone.now())
        context = {
            **self.admin_site.each_context(request),
            "title": _("Price a stay"),
            "opts": self.opts,
            "listing": listing,
            "listing_url": url_of(listing),
            "form": form,
            "explained": explained,
        }
        return TemplateResponse(request, "admin_site/price_a_stay.html", context)

    @display(description=_("listing"), header=True)
    def place(self, listing: Listing) -> list[Any]:
        where = ", ".join(part for part in (listing.city, listing.country) if part) or listing.location
        covers = getattr(listing, "covers", [])
        picture = (
            {"path": thumbnail_url(covers[0]), "squared": True, "width": 56, "height": 40} if covers else None
        )
        return [listing.title, where, listing.title[:2], picture]

    @display(description=_("address"))
    def street(self, listing: Listing) -> str:
        return masking.address(listing.line1)

    @display(description=_("address, second line"))
    def door(self, listing: Listing) -> str:
        return masking.address(listing.line2)

    @display(description=_("postal code"))
    def postcode(self, listing: Listing) -> str:
        return masking.address(listing.postal_code)

    @display(description=_("exact latitude"))
    def lat(self, listing: Listing) -> str:
        return masking.address(listing.latitude)

    @display(description=_("exact longitude"))
    def lng(self, listing: Listing) -> str:
        return masking.address(listing.longitude)

    @display(description=_("host"))
    def host_link(self, listing: Listing) -> str:
        return link(listing.host)

    @display(description=_("status"))
    def state(self, listing: Listing) -> str:
        return label(listing.get_status_display(), LISTING_COLOURS[listing.status])

    @display(description=_("case"))
    def last_case(self, listing: Listing) -> str:
        case = Case.objects.filter(listing=listing).order_by("-pk").first()
        return link(case, f"{case.pk} · {case.get_status_display()}") if case is not None else "–"

    @display(description=_("price per night"))
    def nightly(self, listing: Listing) -> str:
        return money(listing.price_minor, listing.currency)

    @display(description=_("weekend price"))
    def weekend(self, listing: Listing) -> str:
        return money(listing.weekend_price_minor, listing.currency)

    @display(description=_("cleaning fee"))
    def cleaning(self, listing: Listing) -> str:
        return money(listing.cleaning_fee_minor, listing.currency)

    @display(description=_("extra guest fee, a night"))
    def extra_guest(self, listing: Listing) -> str:
        return money(listing.extra_guest_fee_minor, listing.currency)

    @display(description=_("nights at least by arrival weekday"))
    def nights_by_weekday(self, listing: Listing) -> str:
        rules = sorted((int(day), nights) for day, nights in listing.min_nights_by_weekday.items())
        return ", ".join(f"{weekdays([day])} {nights}" for day, nights in rules) or "–"

    @display(description=_("arrival weekdays"))
    def arrivals(self, listing: Listing) -> str:
        return weekdays(listing.arrival_weekdays) if listing.arrival_weekdays else str(_("all"))

    @display(description=_("departure weekdays"))
    def departures(self, listing: Listing) -> str:
        return weekdays(listing.departure_weekdays) if listing.departure_weekdays else str(_("all"))

    @display(description=_("amenities"))
    def has(self, listing: Listing) -> str:
        return ", ".join(amenities.slugs(listing.amenities_mask)) or "–"

    @display(description=_("rating"))
    def rated(self, listing: Listing) -> str:
        return f"★ {listing.rating} ({listing.review_count})" if listing.rating else "–"
