"""The API object; one file per resource hangs its routes on it."""

from __future__ import annotations

from typing import Any

from ninja import NinjaAPI, Router
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation, PathView
from ninja.router import BoundRouter

from api import (
    accounts,
    alterations,
    api_keys,
    appeals,
    attachments,
    availability,
    bookings,
    calendar,
    cancellations,
    cohosts,
    conversations,
    disputes,
    feeds,
    ground,
    host,
    host_analytics,
    host_codes,
    identity_checks,
    inquiries,
    invoices,
    mail_reports,
    messages,
    mfa,
    notifications,
    openapi,
    payments,
    payout_accounts,
    payout_splits,
    payouts,
    photos,
    platform,
    prices,
    privacy,
    problems,
    properties,
    property_texts,
    quotes,
    realtime,
    reference,
    refunds,
    reports,
    reviews,
    saved_searches,
    search,
    sms_reports,
    social,
    standing,
    statements,
    user_blocks,
    verification,
    webhooks,
    wishlists,
)
from api.auth import bearer
from api.parsing import StrictParser
from api.rendering import Renderer


class KaribuAPI(NinjaAPI):
    """Ninja with our documents: one word per operation, problems and examples everywhere."""

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        schema = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        return openapi.complete(self, schema)

    def _get_bound_routers(self) -> list[BoundRouter]:
        """Join operations on one path that stand in different files: Django would find the first file's only."""
        if self._bound_routers_cache is None:
            first: dict[str, PathView] = {}
            for bound in super()._get_bound_routers():
                for path, view in list(bound.path_operations.items()):
                    if path in first:
                        first[path].operations.extend(view.operations)
                        del bound.path_operations[path]
                    else:
                        first[path] = view
        return super()._get_bound_routers()

    def get_openapi_operation_id(self, operation: Operation) -> str:
        module = operation.view_func.__module__.rpartition(".")[2]
        return f"{module}_{operation.view_func.__name__}"


def build(*routers: Router, namespace: str = "api") -> KaribuAPI:
    """An API of these routers on our ground."""
    built = KaribuAPI(
        title="Karibu",
        version="1.0.0",
        description=openapi.DESCRIPTION,
        urls_namespace=namespace,
        openapi_url="/openapi.json",
        docs_url="/docs",
        auth=bearer,
        parser=StrictParser(),
        renderer=Renderer(),
    )
    for handled in problems.HANDLED:
        built.add_exception_handler(handled, problems.handle)
    built.add_decorator(ground.before, mode="view")
    built.add_decorator(ground.remember, mode="view")
    built.add_decorator(ground.checked, mode="operation")
    for router in routers:
        built.add_router("", router)
    return built


api = build(
    accounts.router,
    privacy.router,
    verification.router,
    mfa.router,
    identity_checks.router,
    social.router,
    search.router,
    properties.router,
    property_texts.router,
    photos.router,
    cohosts.router,
    calendar.router,
    feeds.router,
    availability.router,
    prices.router,
    host_codes.router,
    quotes.router,
    bookings.router,
    cancellations.router,
    alterations.router,
    inquiries.router,
    conversations.router,
    messages.router,
    attachments.router,
    user_blocks.router,
    reviews.router,
    host.router,
    standing.router,
    host_analytics.router,
    # Before the addresses of payment providers, which take any name.
    sms_reports.router,
    mail_reports.router,
    payments.router,
    refunds.router,
    disputes.router,
    payouts.router,
    payout_accounts.router,
    payout_splits.router,
    statements.router,
    invoices.router,
    wishlists.router,
    saved_searches.router,
    reports.router,
    appeals.router,
    notifications.router,
    webhooks.router,
    api_keys.router,
    realtime.router,
    reference.router,
    platform.router,
)
