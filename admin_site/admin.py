"""Found by the admin's discovery: importing the areas puts their pages on the site."""

from __future__ import annotations

from admin_site import (  # noqa: F401
    accounts,
    agreements,
    audit,
    bookings,
    cohosts,
    disputes,
    documents,
    exchange_rates,
    feeds,
    firewall,
    identity_checks,
    jobs,
    ledger,
    listings,
    notifications,
    payments,
    payouts,
    policies,
    privacy,
    provider_events,
    rates,
    reconciliation,
    refunds,
    reports,
    routes,
    service_fees,
    settings,
    standing,
)
