"""Listings, their pictures and texts, the calendars they are read from, and the lists that they choose from."""
