"""What can go wrong with a backup, as one sentence for whoever has to mend it."""


class BackupError(Exception):
    """A backup could not be made, or cannot be used; nothing of the platform was changed."""


class Busy(BackupError):
    """Somebody else does it already; theirs counts."""
