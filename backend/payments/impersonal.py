"""What providers tell of people, left out of what we keep of their messages. Pure.

An event only says that something happened: what is true is asked of the provider. Nobody needs to know from it how a
payer is called or reached.
"""

from __future__ import annotations

from typing import Any

LEFT_OUT = "…"

PERSONAL = frozenset(
    {
        *("address", "billing", "billing_address", "billing_details", "bank_account", "business_profile"),
        *(
            "company",
            "customer_details",
            "customer_email",
            "dob",
            "email",
            "email_address",
            "external_accounts",
        ),
        *(
            "family_name",
            "first_name",
            "full_name",
            "given_name",
            "individual",
            "invoice_email",
            "ip",
            "ip_address",
        ),
        *("last_name", "name", "owner", "payer", "payer_info", "person", "phone", "phone_number", "phone_no"),
        *(
            "receipt_email",
            "receiver",
            "recipient",
            "shipping",
            "shipping_address",
            "shipping_details",
            "surname",
        ),
    }
)
"""Names of Stripe's and PayPal's objects under which people stand."""


def without_people(payload: Any) -> Any:
    """``payload`` with everything that stands under a name of ``PERSONAL`` left out; what is empty stays as it is."""
    if isinstance(payload, dict):
        return {
            name: LEFT_OUT if name in PERSONAL and value else without_people(value)
            for name, value in payload.items()
        }
    return [without_people(each) for each in payload] if isinstance(payload, list) else payload
