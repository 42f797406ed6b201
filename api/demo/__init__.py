"""An example front end, for whoever looks at a fresh server: one page that uses the API as a stranger would."""
