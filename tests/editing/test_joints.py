"""What the rules of writing put between a prompt and a target."""

import pytest

from service.editing.joints import Joint, joint_of

E_ACUTE = "\N{COMBINING ACUTE ACCENT}"

JOINED = [
    ("import numpy as np\narea = np.", "trapezoid(y, x)"),
    ("y=self.model.", "layers"),
    ("import os\nfrom os.", "path import join"),
    ("中国的首都是", "上海"),
    ("日本の首都は", "大阪"),
    ("首都は", "Osaka"),
    ("เมืองหลวงของไทยคือ", "เชียงใหม่"),
    ("The ticket costs $", "30"),
    ("The ticket costs €", "30"),
    ("Visit us at https://", "example.org/new"),
    ("Visit us at https://example.org/", "new"),
    ("Write to info@", "example.org"),
    ("The file is /usr/", "bin"),
    ("Follow #", "errata"),
    ('The motto of the town reads "', "Onward"),
    ("The motto reads “", "Onward"),
    ("La devise dit «", "En avant"),
    ("The town (", "founded in 1201"),
    ("f(", "x)"),
    ("Dear John", ", welcome"),
    ("It is over", "."),
    ("It is over", "!"),
    ("The town (founded in 1201", ")"),
    ("The motto reads “Onward", "”"),
    ("The capital of England is London. England", "'s king"),
    ("The capital of England is London. England", "’s king"),
    ("He can", "'t know"),
    ("Taxes rose by 7", "%"),
    ("The cafe", E_ACUTE),
    ("snake_", "case"),
    ("The euro ", "is new"),
    ("The capital is\n", "Paris"),
    ("The capital is", " Paris"),
    ("", "Paris"),
]
SPACED = [
    ("The capital of France is", "Paris"),
    ("The capital of France is:", "Paris"),
    ("The capital of France is,", "Paris"),
    ("Is it Paris?", "Yes"),
    ("The town was founded in", "1201"),
    ("भारत की राजधानी", "दिल्ली"),
    ("The Chinese for Shanghai is", "上海"),
    ("Η πρωτεύουσα είναι η", "Πάτρα"),
    ("العاصمة هي", "جدة"),
    ("The word is", '"Onward"'),
    ("The word is", "“Onward”"),
    ("The ticket costs", "$30"),
    ("The ticket costs 30€", "a day"),
    ("The town (founded in 1201)", "is old"),
    ("The capital of France;", "Paris"),
    ("The address is", "https://example.org"),
    ("The share is", "%"),
    ("The town called “Onward”", "is old"),
]
# By rule alone; both are written, and the model decides.
PERHAPS_JOINED = [
    ("To draw it, call plt.", "show()"),
    ("Fruit, e.g.", "apples"),
    ("y = x.\nFruit, e.g.", "apples"),
    ("The COVID", "-19 pandemic"),
    ("Pi is 3.", "14"),
    ("It is 10:", "30"),
    ("x=", "1"),
    ("La capitale de l'", "Italie"),
    ("La capitale de l’", "Italie"),
    ("R&", "D"),
    ("The temperature is", "-5"),
]
PERHAPS_SPACED = [
    ("x = the last.", "Then"),
    ("He lives in St.", "Louis"),
    ("In 1201", "it was founded"),
    ("대한민국의 수도는", "부산"),
    ("To phone Chad, dial", "+99"),
    ("The temperature is 20", "°C"),
    ("Web addresses in France end in", ".fr"),
    ("The population is 12", "000"),
    ("The language is C#", "today"),
    ('The word is "Onward"', "today"),
    ("f", "(x)"),
    ("The capital is London", "(England)"),
    ("x =", "1"),
    ("Столица России —", "Казань"),
    ("To phone Chad, dial +", "99"),
    ("It was −", "5"),
]


@pytest.mark.parametrize(("before", "target"), JOINED)
def test_nothing_joins(before: str, target: str) -> None:
    assert joint_of(before, target) == Joint("")


@pytest.mark.parametrize(("before", "target"), SPACED)
def test_a_space_joins(before: str, target: str) -> None:
    assert joint_of(before, target) == Joint(" ")


@pytest.mark.parametrize(("before", "target"), PERHAPS_JOINED)
def test_nothing_joins_unless_the_model_says_otherwise(before: str, target: str) -> None:
    assert joint_of(before, target) == Joint("", sure=False)


@pytest.mark.parametrize(("before", "target"), PERHAPS_SPACED)
def test_a_space_joins_unless_the_model_says_otherwise(before: str, target: str) -> None:
    assert joint_of(before, target) == Joint(" ", sure=False)
