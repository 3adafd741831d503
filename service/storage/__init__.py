"""The database and the artifact files. All SQL lives here."""
