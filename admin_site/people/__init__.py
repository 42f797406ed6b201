"""The people desk: accounts, what staff know and do, and looking through a person's eyes."""
