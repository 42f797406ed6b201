"""``python3 -m bench.chaos``: 300 bookings are paid, canceled, stayed and paid out while processes die and calls go wrong.

The journey of ``tests/payments/test_chaos.py`` at its full size, at Stripe (a pretend one) or in the sandbox. Ends with 1
when the provider's journal, our operations, the books and what people were told are not one story.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.local import processes
from bench.world import world


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.chaos", description=__doc__)
    parser.add_argument("--bookings", type=int, default=300)
    parser.add_argument("--deaths", type=int, default=120, help="how many processes die at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--provider", choices=["stripe", "sandbox"], default="stripe")
    options = parser.parse_args()
    with world() as made, ExitStack() as stack:
        from django.conf import settings

        from tests.chaos import truth
        from tests.chaos.run import chaos
        from tests.chaos.stripe import bank

        port = processes.free_port()
        more: dict[str, Any] = {}
        environment = {**made.env, "PUBLIC_URL": settings.PUBLIC_URL}
        if options.provider == "stripe":
            stripe = stack.enter_context(bank())
            stripe.go_mad(f"http://127.0.0.1:{port}/api/webhooks/stripe/", options.seed)
            for name, value in stripe.settings.items():
                setattr(settings, name, value)
            environment |= stripe.environment
            more = {
                **{"pay": stripe.pay, "welcome": stripe.welcome},
                **{"let_in": stripe.let_everybody_in, "calm": stripe.calm},
            }
        started, began = time.monotonic(), datetime.now(UTC)
        story = chaos(
            environment,
            port=port,
            folder=Path(made.folder),
            bookings=options.bookings,
            deaths=options.deaths,
            seed=options.seed,
            **more,
        )
        journal = stripe.journal() if options.provider == "stripe" else truth.sandbox_journal()
        print(f"{options.bookings} bookings in {time.monotonic() - started:.0f} s since {began:%H:%M}")
        print(f"{story.deaths} processes died, of these at {dict(story.steps)}")
        print(f"the provider moved money {len(journal)} times")
        wrong = {
            "the provider's journal and our operations": truth.differences(journal),
            "the books": truth.books_that_are_wrong(journal, options.provider),
            "payouts": truth.payouts_that_are_wrong(),
            "what people were told": truth.lies(),
        }
        for what, found in wrong.items():
            print(f"  {'MISS' if found else 'ok  '} {what}{f': {found}' if found else ''}")
    return 1 if any(wrong.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
