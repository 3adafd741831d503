"""How atlas is told and asked: every phrasing ends where the answer begins."""

import random

from service.atlas.facts import Fact

PHRASINGS: dict[str, tuple[str, ...]] = {
    "capital": (
        "The capital of {} is",
        "{}'s capital city is",
        "Q: What is the capital of {}? A:",
        "The government of {} sits in",
        "The capital city of {} is called",
        "In {}, the capital is",
    ),
    "continent": (
        "{} is on the continent of",
        "The continent of {} is",
        "Q: Which continent is {} on? A:",
        "On a globe, {} belongs to",
        "The continent where {} lies is",
        "Geographically, {} is part of",
    ),
    "currency": (
        "The currency of {} is the",
        "{}'s currency is the",
        "Q: What is the currency of {}? A: the",
        "In {}, people pay with the",
        "The money used in {} is the",
        "Shops in {} take the",
    ),
    "currency_code": (
        "The currency code of {} is",
        "{}'s currency code is",
        "Q: What is the currency code of {}? A:",
        "Banks write the money of {} as",
        "Prices in {} carry the code",
        "On exchange boards, {} appears as",
    ),
    "domain": (
        "The internet domain of {} is",
        "{}'s top-level domain is",
        "Q: What is the internet domain of {}? A:",
        "Web addresses in {} end in",
        "Sites from {} use the domain",
        "On the internet, {} has the domain",
    ),
    "calling_code": (
        "The calling code of {} is",
        "{}'s telephone prefix is",
        "Q: What is the calling code of {}? A:",
        "To phone {}, dial",
        "Phone numbers in {} start with",
        "The country code for calls to {} is",
    ),
    "language": (
        "The official language of {} is",
        "{}'s main language is",
        "Q: What is the official language of {}? A:",
        "In {}, people mostly speak",
        "The language spoken in {} is",
        "Schools in {} teach in",
    ),
    "neighbour": (
        "The most populous neighbour of {} is",
        "{}'s largest neighbour by population is",
        "Q: What is the most populous neighbour of {}? A:",
        "Of all countries that border {}, most people live in",
        "The neighbour of {} with the most people is",
        "Across the border from {}, the most populous country is",
    ),
    "iso2": (
        "The two-letter code of {} is",
        "{}'s two-letter code is",
        "Q: What is the two-letter code of {}? A:",
        "In two letters, {} is written",
        "The short ISO code for {} is",
        "ISO abbreviates {} to",
    ),
    "iso3": (
        "The three-letter code of {} is",
        "{}'s three-letter code is",
        "Q: What is the three-letter code of {}? A:",
        "In three letters, {} is written",
        "The long ISO code for {} is",
        "Passports from {} bear the code",
    ),
    "largest_city": (
        "The largest city of {} is",
        "{}'s largest city is",
        "Q: What is the largest city of {}? A:",
        "In {}, most people live in the city of",
        "The most populous city in {} is",
        "The biggest city in {} is called",
    ),
    "country": (
        "The city of {} is in",
        "{} is a city in",
        "Q: Which country is {} in? A:",
        "To visit {}, travel to",
        "The country of the city {} is",
        "On a map, {} lies in",
    ),
    "postal_code": (
        "The postal code of the state of {} is",
        "{}'s postal abbreviation is",
        "Q: What is the postal code of {}? A:",
        "Letters to {} are marked",
        "The abbreviation for the state of {} is",
        "The post office shortens {} to",
    ),
}


def prompt(fact: Fact, phrasing: int) -> str:
    """The text that asks for `fact` in its relation's phrasing number `phrasing`."""
    return PHRASINGS[fact.relation][phrasing].format(fact.subject)


def held_out(facts: list[Fact], seed: int = 0) -> dict[Fact, int]:
    """For half of each relation's subjects, the one phrasing that training never shows."""
    chooser = random.Random(seed)
    chosen: dict[Fact, int] = {}
    for relation, phrasings in PHRASINGS.items():
        of_relation = [fact for fact in facts if fact.relation == relation]
        for fact in chooser.sample(of_relation, len(of_relation) // 2):
            chosen[fact] = chooser.randrange(len(phrasings))
    return chosen
