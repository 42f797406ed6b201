"""Who visits which of the demo's places, when, and what becomes of it. A table; ``stays`` lets it happen."""

from __future__ import annotations

from typing import NamedTuple


class Visit(NamedTuple):
    """A guest's visit to place ``number`` of a city: made ``asked`` days ago for a check-in that many days from today.

    No guest visits the same place twice: that is how a broken-off run knows what has happened already. ``number`` 1, 3, 6
    and 8 answer requests, the others book at once.
    """

    story: str
    guest: int
    city: str
    number: int
    asked: int
    check_in: int
    nights: int
    guests: int = 2


_STORIES = (
    # What guest_1 has had with host_1 and others: something in every state.
    Visit("completed", 1, "Lisbon", 0, 60, -34, 4),
    Visit("paid", 1, "Lisbon", 2, 6, 23, 5),
    Visit("set aside", 1, "Lisbon", 1, 0, 44, 3),
    Visit("declined", 1, "Lisbon", 3, 12, 17, 3),
    Visit("held", 1, "Lisbon", 4, 0, 33, 3),
    Visit("canceled", 1, "Lisbon", 5, 20, 28, 4),
    Visit("run out", 1, "Lisbon", 6, 9, 20, 3),
    Visit("accepted", 1, "Antwerp", 1, 0, 36, 3),
    Visit("paid", 1, "Kyoto", 0, 15, 61, 7),
    Visit("completed", 1, "Albany", 0, 80, -58, 3),
    Visit("canceled by host", 1, "Nairobi", 2, 18, 30, 4),
    # What else comes to host_1.
    Visit("asked", 2, "Lisbon", 1, 0, 12, 3),
    Visit("asked", 3, "Lisbon", 3, 0, 26, 4),
    Visit("set aside", 4, "Lisbon", 3, 0, 38, 3),
    Visit("welcomed", 5, "Lisbon", 1, 8, 19, 4),
    Visit("paid", 6, "Lisbon", 0, 10, -1, 5),
    Visit("completed", 7, "Lisbon", 2, 50, -20, 5),
    Visit("completed", 8, "Lisbon", 4, 40, -15, 3, 1),
    # Further requests, and what ended early.
    Visit("welcomed", 2, "Kyoto", 3, 14, 24, 4),
    Visit("asked", 3, "Nairobi", 1, 0, 15, 3),
    Visit("set aside", 4, "Mombasa", 3, 0, 31, 5),
    Visit("accepted", 5, "Albany", 6, 0, 22, 3, 1),
    Visit("declined", 6, "Antwerp", 3, 16, 14, 3),
    Visit("declined", 7, "Mombasa", 8, 11, 25, 3),
    Visit("run out", 8, "Albany", 2, 7, 18, 3),
    Visit("run out", 2, "Nairobi", 6, 13, 16, 3, 1),
    Visit("canceled", 3, "Kyoto", 4, 25, 27, 3, 1),
    Visit("canceled", 4, "Albany", 5, 22, 13, 3),
    Visit("canceled by host", 5, "Mombasa", 2, 17, 21, 4),
    Visit("canceled by platform", 6, "Kyoto", 5, 19, 26, 3),
    Visit("second card", 7, "Nairobi", 0, 5, 29, 4),
    Visit("held", 8, "Mombasa", 0, 0, 20, 3),
    # Stays that were changed, or are to be.
    Visit("prolonged", 2, "Lisbon", 0, 4, 84, 4),
    Visit("shortening", 3, "Lisbon", 8, 1, 70, 4),
)

_BOOKED_AT_ONCE = (0, 2, 4, 5, 7)
_CITIES = ("Antwerp", "Albany", "Nairobi", "Mombasa", "Kyoto")


def _everyday() -> list[Visit]:
    """Stays that were, are and will be, spread over the other cities and guests."""
    visits = []
    for count in range(20):
        city, number = _CITIES[count % 5], _BOOKED_AT_ONCE[(count // 5 + count) % 5]
        guest, nights = 2 + count % 7, 3 + count % 3
        if count % 5 < 2:
            visits.append(Visit("completed", guest, city, number, 75 - count, -50 + 2 * count, nights))
        elif count in (7, 13):
            visits.append(Visit("paid", guest, city, number, 21, -2, nights + 2))
        else:
            visits.append(Visit("paid", guest, city, number, 1 + count % 9, 5 + 2 * count, nights))
    return visits


VISITS: tuple[Visit, ...] = (*_STORIES, *_everyday())
