"""Found by the admin's discovery: importing the areas puts their pages on the site."""

from __future__ import annotations

from admin_site import (  # noqa: F401
    accounts,
    agreements,
    audit,
    bookings,
    documents,
    feeds,
    jobs,
    listings,
    notifications,
    payments,
    policies,
    rates,
    reconciliation,
    routes,
    service_fees,
    settings,
)
