"""The calendar's tables: taken nights and single dates, and the calendars of other sites that are read and written."""

from backend.availability.models.calendar import Block, CalendarDay, Reason
from backend.availability.models.feeds import (
    CalendarFeed,
    CalendarSubscriber,
    Decision,
    EventKind,
    FeedConflict,
    FeedEvent,
    FeedKind,
    FeedStatus,
)

__all__ = [
    "Block",
    "CalendarDay",
    "CalendarFeed",
    "CalendarSubscriber",
    "Decision",
    "EventKind",
    "FeedConflict",
    "FeedEvent",
    "FeedKind",
    "FeedStatus",
    "Reason",
]
