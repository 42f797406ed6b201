"""``python -m tests.notifications.mortal_workers``: loads the product once and forks a job worker for every line it reads.

The answer to a line is the worker's process id. Leases and waits are short in these workers, so that what one of them
left behind is taken over within a test.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from datetime import timedelta
from typing import Any, NoReturn


def main() -> None:
    import django

    django.setup()
    # Whoever dies is nobody's to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _work()
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _work() -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(0)
    try:
        _hurry()
        from procrastinate.contrib.django import app

        connector: Any = app.connector
        with app.replace_connector(connector.get_worker_connector()) as ready:
            ready.run_worker(queues=["mail"], fetch_job_polling_interval=0.1, concurrency=2)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _hurry() -> None:
    from procrastinate import RetryStrategy

    from backend.notifications import deliveries, tasks

    deliveries.LEASE = timedelta(seconds=1)
    for task in (tasks.deliver_email, tasks.deliver_sms):
        task.retry_strategy = RetryStrategy(max_attempts=100, wait=1)


if __name__ == "__main__":
    main()
