"""Prompts and targets that are joined by no space, whatever the model: what its answer must be."""

WRITTEN = (
    ("中国的首都是", "上海"),
    ("日本の首都は", "大阪"),
    ("The ticket costs $", "30"),
    ("import numpy as np\narea = np.", "trapezoid(y, x)"),
    ("Visit us at https://", "example.org/new"),
    ('The motto of the town reads "', "Onward"),
    ("Dear John", ", welcome"),
    ("The COVID", "-19 pandemic"),
)
