"""HTTP: handlers parse, call one operation and return."""
