"""The table of values: which texts share one, and which it is optimised on."""

import torch

from service.editing.prefixes import Text
from service.editing.values import ValueTable

EURO, SPACED = (5, 6), (7,)  # behind a prompt that ends in a space, a target has other tokens


def text(edit: int, *prompt: int, target: tuple[int, ...] = EURO, spelled: bool = False) -> Text:
    return Text(edit, prompt, target, len(prompt) - 1, spelled)


TABLE = ValueTable.of(
    [
        text(0, 1, 2),
        text(0, 3, 2),
        text(0, 9, 2, spelled=True),
        text(0, 1, 4, target=SPACED, spelled=True),
        text(0, 3, 4, target=SPACED, spelled=True),
        text(1, 8),
        text(1, 8, 8, spelled=True),
    ],
    every_token=True,
)


def test_phrasings_of_an_edit_share_the_values_of_equal_targets() -> None:
    assert TABLE.rows == ((0, 1), (0, 1), (0, 1), (2,), (2,), (3, 4), (3, 4))


def test_values_are_taught_on_given_phrasings_and_one_spelling_where_none_is_given() -> None:
    taught = TABLE.taught()
    assert [t.prompt for t in taught.texts] == [(1, 2), (3, 2), (1, 4), (8,)]
    assert taught.rows == ((0, 1), (0, 1), (2,), (3, 4))


def test_a_spelling_before_the_phrasing_that_it_shares_its_values_with_is_not_taught() -> None:
    table = ValueTable.of([text(0, 9, spelled=True), text(0, 1)], every_token=True)
    assert [t.prompt for t in table.taught().texts] == [(1,)]


def test_the_values_of_every_edit_are_taught() -> None:
    taught = TABLE.taught()
    for edit in range(2):
        assert taught.rows_of(edit) == TABLE.rows_of(edit)


def test_a_target_says_which_of_its_keys_are_spelled() -> None:
    keys = torch.arange(12.0)[:, None]
    values = torch.arange(5.0)[:, None]
    radii = keys[:, 0] / 10
    first, second = (TABLE.target(edit, 70 + edit, keys, radii, values) for edit in range(2))
    assert first.value_of == (0, 1, 0, 1, 0, 1, 2, 2)
    assert first.labels == ((5, 6), (6,), (7,))
    assert first.spelled == (False,) * 4 + (True,) * 4
    assert first.keys[:, 0].tolist() == list(range(8))
    assert first.radii == tuple(radii[:8].tolist())
    assert (second.edit_id, second.spelled) == (71, (False, False, True, True))
    assert second.values[:, 0].tolist() == [3, 4]
