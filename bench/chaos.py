"""``python3 -m bench.chaos``: 300 bookings are paid, canceled, stayed and paid out while processes die and calls go wrong.

The journey of ``tests/payments/test_chaos.py`` at its full size, at pretended Stripe, PayPal and M-Pesa, at Stripe alone
or in the sandbox. Ends with 1 when the providers' journals, our operations, the books and what people were told are not
one story.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
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
    parser.add_argument("--provider", choices=["all", "stripe", "sandbox"], default="all")
    options = parser.parse_args()
    with world() as made, ExitStack() as stack:
        from django.conf import settings

        from tests.chaos import truth
        from tests.chaos.banks import banks
        from tests.chaos.run import chaos
        from tests.chaos.stripe import bank

        port = processes.free_port()
        outside: Any = None
        if options.provider != "sandbox":
            outside = stack.enter_context(bank() if options.provider == "stripe" else banks())
            outside.go_mad(f"http://127.0.0.1:{port}", options.seed)
            for name, value in outside.settings.items():
                setattr(settings, name, value)
        started, began = time.monotonic(), datetime.now(UTC)
        story = chaos(
            {**made.env, **(outside.environment if outside else {})},
            port=port,
            folder=Path(made.folder),
            bookings=options.bookings,
            deaths=options.deaths,
            seed=options.seed,
            outside=outside,
        )
        journal = outside.journal() if outside else truth.sandbox_journal()
        holdings = outside.holds() if outside else truth.held_by_the_sandbox()
        verdicts = outside.verdicts() if outside else {}
        print(f"{options.bookings} bookings in {time.monotonic() - started:.0f} s since {began:%H:%M}")
        print(f"{story.deaths} processes died, of these at {dict(story.steps)}")
        print(f"the providers moved money {len(journal)} times: {dict(Counter(each[1] for each in journal))}")
        print(f"{len(verdicts)} disputes, {story.returned} refunds came back, {story.made_again} made again")
        wrong = {
            "the providers' journals and our operations": truth.differences(journal),
            "the books": truth.books_that_are_wrong(holdings),
            "disputes": truth.disputes_that_are_wrong(verdicts),
            "payouts": truth.payouts_that_are_wrong(),
            "what people were told": truth.lies(),
        }
        for what, found in wrong.items():
            print(f"  {'MISS' if found else 'ok  '} {what}{f': {found}' if found else ''}")
    return 1 if any(wrong.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
