"""How well edits do: datasets, figures and reports."""
