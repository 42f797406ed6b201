"""What can be read by GraphQL. Each field is an operation of REST: its parameters, its permission, its answer."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import orjson
import strawberry
from django.http import HttpRequest, HttpResponse
from graphql import GraphQLError
from pydantic import BaseModel, ValidationError

from api import (
    accounts,
    availability,
    bookings,
    calendar,
    conversations,
    host,
    host_analytics,
    messages,
    notifications,
    payments,
    payouts,
    problems,
    properties,
    reviews,
    scopes,
    search,
    wishlists,
)
from api.account_types import UserOut
from api.booking_types import BookingOut
from api.graphql.types import CONFIG, LINKS, Long, of, of_schema
from api.pagination import Page, PageQuery
from api.property_types import PropertyOut
from api.rendering import dumps
from backend.core import violations
from backend.core.errors import Unauthenticated


@dataclass(frozen=True)
class Reading:
    """``view`` answers with ``answer``; it takes the ids of ``path`` and the parameters of ``params``.

    ``anyone``: also without a token.
    """

    view: Callable[..., Any]
    answer: type[BaseModel]
    params: type[BaseModel] | None = None
    path: tuple[str, ...] = ()
    anyone: bool = False


READINGS: dict[str, Reading] = {
    "properties": Reading(
        search.search_properties, Page[search.SearchResult], search.SearchParams, anyone=True
    ),
    "property": Reading(
        properties.get_property, PropertyOut, properties.OneQuery, ("property_id",), anyone=True
    ),
    "availability": Reading(
        availability.read,
        availability.AvailabilityOut,
        availability.AvailabilityQuery,
        ("property_id",),
        anyone=True,
    ),
    "calendar": Reading(
        calendar.read, Page[calendar.CalendarRow], calendar.CalendarRange, ("property_id",), anyone=True
    ),
    "property_reviews": Reading(
        reviews.list_of_property,
        reviews.PropertyReviews,
        reviews.PropertyReviewsQuery,
        ("property_id",),
        anyone=True,
    ),
    "me": Reading(accounts.get_profile, UserOut),
    "bookings": Reading(bookings.list_bookings, Page[BookingOut], bookings.BookingQuery),
    "booking": Reading(bookings.read, BookingOut, path=("booking_id",)),
    "conversations": Reading(
        conversations.list_conversations, Page[conversations.ConversationOut], conversations.ConversationQuery
    ),
    "messages": Reading(
        messages.list_messages, Page[messages.MessageOut], messages.MessageQuery, ("conversation_id",)
    ),
    "reviews": Reading(reviews.list_reviews, Page[reviews.ReviewOut], reviews.ReviewsQuery),
    "notifications": Reading(
        notifications.list_notifications,
        Page[notifications.NotificationOut],
        notifications.NotificationQuery,
    ),
    "payments": Reading(payments.list_payments, Page[payments.PaymentWholeOut], payments.PaymentQuery),
    "payouts": Reading(payouts.list_payouts, Page[payouts.PayoutOut], payouts.PayoutQuery),
    "wishlists": Reading(wishlists.list_wishlists, Page[wishlists.WishlistOut], PageQuery),
    "host_properties": Reading(properties.list_own_properties, Page[PropertyOut], properties.MineQuery),
    "host_analytics": Reading(
        host_analytics.see_analytics, host_analytics.AnalyticsOut, host_analytics.AnalyticsQuery
    ),
    "host_today": Reading(host.see_today, host.TodayOut),
}


def _field(name: str, reading: Reading) -> Any:
    def resolve(info: strawberry.Info, **given: Any) -> Any:
        request: HttpRequest = copy.copy(info.context)
        request.path = f"/graphql/{name}"
        try:
            return _read(request, reading, {key.removesuffix("_"): value for key, value in given.items()})
        except Exception as error:
            problem = problems.translate(error)
            if isinstance(problem, problems.InternalError):
                problems.log.error("request.failed", exc_info=error)
            told = problems.as_document(problem, request_id=getattr(request, "request_id", ""))
            raise GraphQLError(told["detail"] or told["title"], extensions=told) from error

    parameters = [
        inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=strawberry.Info)
    ]
    parameters += [
        inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY, annotation=Long) for each in reading.path
    ]
    for key, spec in reading.params.model_fields.items() if reading.params else ():
        wire = spec.alias or key
        annotation, default = of(spec.annotation), inspect.Parameter.empty
        if not spec.is_required():
            annotation, default = annotation | None, strawberry.UNSET
        parameters.append(
            inspect.Parameter(
                f"{wire}_",
                inspect.Parameter.KEYWORD_ONLY,
                annotation=Annotated[
                    annotation, strawberry.argument(name=wire, description=spec.description)
                ],
                default=default,
            )
        )
    answer = of_schema(reading.answer)
    resolve.__signature__ = inspect.Signature(parameters, return_annotation=answer | None)  # type: ignore[attr-defined]
    resolve.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": answer | None}
    resolve.__name__ = name
    described = inspect.getdoc(reading.view) or ""
    return strawberry.field(
        resolver=resolve, name=name, description=described.partition("\n\n")[0].replace("\n", " ")
    )


def _read(request: HttpRequest, reading: Reading, given: dict[str, Any]) -> Any:
    """The operation's answer as plain JSON. Raises: what the operation raises, Unauthenticated, Invalid."""
    user: Any = request.auth  # type: ignore[attr-defined]
    if not reading.anyone and not user.is_authenticated:
        raise Unauthenticated
    if user.scopes is not None:
        scopes.require(user.scopes, reading.view, "GET")
    path = {name: given.pop(name) for name in reading.path}
    if reading.params is not None:
        sent = {
            name: value
            for name, value in given.items()
            if value is not None and value is not strawberry.UNSET
        }
        try:
            path["params"] = reading.params.model_validate(sent)
        except ValidationError as error:
            errors: Any = [{**each, "loc": ("query", *each["loc"])} for each in error.errors()]
            raise violations.as_error(errors) from error
    found = reading.view(request, **path)
    answer = orjson.loads(found.content if isinstance(found, HttpResponse) else dumps(found))
    for link, cursor in LINKS.items():
        if link in answer:
            query = parse_qs(urlsplit(answer.pop(link) or "").query)
            answer[cursor] = query.get("cursor", [None])[0]
    return answer


Query = strawberry.type(
    type("Query", (), {name: _field(name, reading) for name, reading in READINGS.items()}),
    description="Everything here is read; what changes something is done by the REST API.",
)


class Schema(strawberry.Schema):
    """What went wrong is told in the answer; what is our own fault was logged where it happened."""

    def process_errors(self, errors: Any, execution_context: Any = None) -> None:
        return None


schema = Schema(query=Query, config=CONFIG)
