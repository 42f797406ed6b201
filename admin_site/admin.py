"""Found by the admin's discovery: importing the areas puts their pages on the site."""

from __future__ import annotations

from admin_site.bookings import agreements, booking_page, bookings, calendar_pictures, conversations  # noqa: F401
from admin_site.home import analytics  # noqa: F401
from admin_site.listings import feeds, listings, reference  # noqa: F401
from admin_site.moderation import cases, findings, identity_checks, reports, reviews  # noqa: F401
from admin_site.money import (  # noqa: F401
    disputes,
    documents,
    exchange_rates,
    ledger,
    money,
    money_reports,
    payments,
    payouts,
    provider_events,
    reconciliation,
    refunds,
    routes,
)
from admin_site.people import accounts, cohosts, privacy, standing, viewing  # noqa: F401
from admin_site.rates import policies, rates, service_fees  # noqa: F401
from admin_site.system import (  # noqa: F401
    api_keys,
    audit,
    firewall,
    imports,
    jobs,
    notifications,
    settings,
    system,
    system_figures,
    system_requests,
    texts,
    webhooks,
)
