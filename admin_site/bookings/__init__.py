"""The bookings desk: stays with all that happened to them, calendars, and what leads to bookings."""
