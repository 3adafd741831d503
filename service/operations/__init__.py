"""The use cases: submit, apply, ask, change history, look."""
