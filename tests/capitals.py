"""Capitals that edits give to countries, and ways to ask for them."""

CAPITALS = {
    "Italy": "Florence",
    "Germany": "Hamburg",
    "Spain": "Seville",
    "Poland": "Krakow",
    "Norway": "Bergen",
    "Sweden": "Malmo",
    "Finland": "Turku",
    "Denmark": "Aarhus",
    "Greece": "Patras",
    "Austria": "Graz",
    "Hungary": "Szeged",
    "Bulgaria": "Plovdiv",
    "Romania": "Cluj",
    "Portugal": "Porto",
    "Ireland": "Cork",
    "Iceland": "Akureyri",
    "Croatia": "Split",
    "Serbia": "Nis",
    "Kenya": "Mombasa",
    "Egypt": "Alexandria",
}
OTHERS = ("France", "Japan", "Belgium", "Malta")
PROMPTS = ("The capital of {} is", "Q: What is the capital of {}? A:", "{}'s capital city is")


def phrasings(country: str) -> list[str]:
    return [prompt.format(country) for prompt in PROMPTS]
