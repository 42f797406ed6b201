"""What all pages stand on: the site, its frame, actions with their dialogs, how values are shown and masked, tables in and out."""
