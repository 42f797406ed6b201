"""Whether what clients were told and what the database holds are one story."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import httpx

from bench.faults.clients import Cast, Ear, Guest, Host
from bench.faults.journal import trusted
from bench.faults.place import Place, until

ALIVE = ("confirmed", "completed")


@dataclass(slots=True)
class Verdict:
    """What is gone although it was promised, what is there twice, and what differs otherwise."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.differs)


def judge(place: Place, cast: Cast) -> Verdict:
    """Hold every journal against the tables. Nobody may be acting."""
    verdict = Verdict(differs=cast.wrong())
    for guest in cast.guests:
        _bookings(place, guest, verdict)
        _messages(place, guest, verdict)
    for host in cast.hosts:
        _pictures(place, host, verdict)
    for ear in cast.ears:
        _events(place, ear, verdict)
    _gaps(place, verdict)
    return verdict


BOOKINGS = """
SELECT b.id, b.status, b.total_minor,
    (SELECT count(*) FROM payments p WHERE p.folio_id = b.folio_id AND p.kind = 'payment' AND p.completed_at IS NOT NULL),
    (SELECT coalesce(sum(p.amount_minor), 0)::bigint FROM payments p
        WHERE p.folio_id = b.folio_id AND p.kind = 'payment' AND p.completed_at IS NOT NULL),
    (SELECT coalesce(sum(p.amount_minor), 0)::bigint FROM payments p
        WHERE p.folio_id = b.folio_id AND p.kind = 'refund' AND p.status <> 'failed')
FROM bookings b WHERE b.guest_id = %s
"""


def _bookings(place: Place, guest: Guest, verdict: Verdict) -> None:
    rows = {row[0]: row[1:] for row in place.rows(BOOKINGS, guest.id)}
    verdict.lost += [f"booking {pk} of {guest.name}" for pk in guest.booked.keys() - rows.keys()]
    verdict.doubled += [f"booking {pk} of {guest.name}" for pk in rows.keys() - guest.booked.keys()]
    for pk, told in guest.booked.items():
        if pk not in rows:
            continue
        status, total, payments, paid, refunded = rows[pk]
        if total != told.total_minor:
            verdict.differs.append(f"booking {pk} costs {total}, told {told.total_minor}")
        if payments > 1 or paid > total:
            verdict.doubled.append(f"booking {pk} was paid {payments} times")
        if told.is_paid and paid != total:
            verdict.lost.append(f"payment of booking {pk}")
        if not told.is_paid and paid:
            verdict.differs.append(f"booking {pk} is paid, and its guest does not know")
        wanted = ("canceled",) if told.is_canceled else ALIVE if told.is_paid else ("pending", "expired")
        if status not in wanted:
            verdict.differs.append(f"booking {pk} is {status}, told {wanted[0]}")
        if refunded > told.refund_minor:
            verdict.doubled.append(f"refund of booking {pk}: {refunded}, told {told.refund_minor}")
        elif refunded < told.refund_minor:
            verdict.lost.append(f"refund of booking {pk}: {refunded}, told {told.refund_minor}")


def _messages(place: Place, guest: Guest, verdict: Verdict) -> None:
    rows = place.rows("SELECT client_id, id FROM messages WHERE sender_id = %s AND client_id <> ''", guest.id)
    stored = Counter(word for word, _pk in rows)
    verdict.doubled += [f"message {word}" for word, count in stored.items() if count > 1]
    verdict.doubled += [f"message {word}, never answered for" for word in stored.keys() - guest.said.keys()]
    held = dict(rows)
    for word, pk in guest.said.items():
        if word not in held:
            verdict.lost.append(f"message {pk} of {guest.name}")
        elif held[word] != pk:
            verdict.differs.append(f"message {word} is {held[word]}, told {pk}")


def _pictures(place: Place, host: Host, verdict: Verdict) -> None:
    rows = {row[0] for row in place.rows("SELECT id FROM photos WHERE listing_id = %s", host.listing)}
    verdict.lost += [f"picture {pk}" for pk in host.pictures.keys() - rows]
    if len(rows - host.pictures.keys()) > host.unsure:
        verdict.doubled.append(f"pictures of {host.name}: {len(rows)}, told of {len(host.pictures)}")
    for pk, url in host.pictures.items():
        answer = httpx.get(url, timeout=20, trust_env=False, verify=trusted(), follow_redirects=True)
        if answer.status_code != 200 or not answer.headers["content-type"].startswith("image/"):
            verdict.lost.append(f"file of picture {pk}: {answer.status_code}")


def _events(place: Place, ear: Ear, verdict: Verdict) -> None:
    def newest() -> int:
        return int(
            place.rows("SELECT coalesce(max(seq), 0) FROM live_events WHERE user_id = %s", ear.person.id)[0][
                0
            ]
        )

    try:
        until(lambda: len(ear.told) >= newest(), "everything was heard", within_s=30)
    except TimeoutError:
        verdict.lost.append(f"{ear.person.name} heard {len(ear.told)} of {newest()} events")
        return
    rows = place.rows(
        "SELECT type, (data->>'id')::bigint FROM live_events WHERE user_id = %s AND seq IS NOT NULL ORDER BY seq",
        ear.person.id,
    )
    if [row for row in rows if row[1] is not None] != [each for each in ear.told if each[1] is not None]:
        verdict.differs.append(f"{ear.person.name} heard other events than there were")


def _gaps(place: Place, verdict: Verdict) -> None:
    broken = place.rows(
        "SELECT c.id FROM conversations c JOIN messages m ON m.conversation_id = c.id GROUP BY c.id, c.last_seq"
        " HAVING count(*) <> c.last_seq OR max(m.seq) <> c.last_seq"
    )
    verdict.differs += [f"conversation {pk} has gaps" for (pk,) in broken]


def moved_twice(place: Place, moved: list[tuple[str, str, int]]) -> list[str]:
    """Where a provider's own journal (key, kind, minor units) and our operations that succeeded are not the same."""
    ours = Counter(
        place.rows(
            "SELECT id::text, kind, amount_minor FROM money_ops WHERE state = 'succeeded'"
            " AND kind IN ('charge', 'refund') AND provider <> 'sandbox'"
        )
    )
    theirs = Counter(moved)
    return [f"only we know of {each}" for each in ours - theirs] + [
        f"only the provider knows of {each}" for each in theirs - ours
    ]


SANDBOX = """
SELECT coalesce(o.id::text, j.key), coalesce(o.kind, j.kind) FROM money_ops o
FULL JOIN sandbox_journal j ON j.key = o.id::text
WHERE (o.provider IS NULL OR o.provider = 'sandbox') AND coalesce(o.kind, j.kind) IN ('charge', 'refund')
  AND (coalesce(o.state, '') = 'succeeded') IS DISTINCT FROM (coalesce(j.state, '') = 'succeeded')
"""


def sandbox_differs(place: Place) -> list[str]:
    """Money that only the sandbox's journal or only our operations know of."""
    return [f"{kind} {key} is known to one side only" for key, kind in place.rows(SANDBOX)]
