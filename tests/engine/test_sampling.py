"""Which token is chosen of some logits."""

from collections import Counter

import pytest
import torch

from service.engine.sampling import Chooser, Sampling, choose

# Of six tokens: shares 0.4, 0.3, 0.15, 0.1, 0.05 and none.
SHARES = torch.tensor([0.1, 0.4, 0.0, 0.05, 0.3, 0.15])
LOGITS = SHARES.log()
DRAWS = 4_000


def drawn(**asked: float) -> dict[int, float]:
    """The share of each token among many draws."""
    chooser = Chooser(Sampling(**{"temperature": 1.0, **asked}), ())  # type: ignore[arg-type]
    counts = Counter(chooser.choose(LOGITS).token for _ in range(DRAWS))
    return {token: count / DRAWS for token, count in counts.items()}


def close(found: dict[int, float], expected: dict[int, float]) -> bool:
    return found.keys() == expected.keys() and all(
        abs(found[token] - share) < 0.03 for token, share in expected.items()
    )


def test_tokens_are_drawn_by_their_shares() -> None:
    assert close(drawn(), {0: 0.1, 1: 0.4, 3: 0.05, 4: 0.3, 5: 0.15})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"top_k": 1}, {1: 1.0}),
        ({"top_k": 2}, {1: 4 / 7, 4: 3 / 7}),
        ({"top_k": 99}, {0: 0.1, 1: 0.4, 3: 0.05, 4: 0.3, 5: 0.15}),
        ({"top_p": 0.001}, {1: 1.0}),
        ({"top_p": 0.69}, {1: 4 / 7, 4: 3 / 7}),
        ({"top_p": 0.8}, {1: 0.4 / 0.85, 4: 0.3 / 0.85, 5: 0.15 / 0.85}),
        ({"temperature": 0.5}, {1: 0.561, 4: 0.316, 5: 0.079, 0: 0.035, 3: 0.009}),
        ({"temperature": 0.001}, {1: 1.0}),
    ],
)
def test_likely_tokens_are_kept(asked: dict[str, float], expected: dict[int, float]) -> None:
    assert close(drawn(**asked), expected)


def test_a_penalty_is_on_what_the_text_holds() -> None:
    logits = torch.tensor([2.0, 1.5, -1.0, -1.5])
    chooser = Chooser(Sampling(repetition_penalty=2.0), (0,))
    assert [chooser.choose(logits).token for _ in range(3)] == [1, 0, 0]
    # Held, a negative logit falls further.
    assert Chooser(Sampling(repetition_penalty=2.0), (0,)).choose(logits[2:]).token == 1


def test_logprobs_are_the_models_own() -> None:
    asked = Sampling(temperature=2.0, repetition_penalty=2.0, logprobs=2)
    choice = Chooser(asked, (1, 2)).choose(LOGITS)
    assert choice.logprob == pytest.approx(float(LOGITS[choice.token]), abs=1e-6)
    assert [token for token, _ in choice.likeliest] == [1, 4]
    assert [share for _, share in choice.likeliest] == pytest.approx(LOGITS[[1, 4]].tolist())


def test_each_of_several_texts_has_a_seed_of_its_own() -> None:
    asked = Sampling(temperature=1.0, seed=2**63 - 1)
    assert asked.of_choice(0) == asked
    assert len({asked.of_choice(number).seed for number in range(4)}) == 4


def test_rows_have_their_own_choosers() -> None:
    rows = torch.stack([LOGITS, LOGITS, LOGITS.flip(0)])
    drawing = Sampling(temperature=1.0, seed=5)
    choosers = [Chooser(Sampling(), ()), Chooser(drawing, ()), Chooser(Sampling(logprobs=0), ())]
    found = choose(choosers, rows)
    assert [found[0].token, found[2].token] == [1, 4]
    assert found[1] == Chooser(drawing, ()).choose(LOGITS)
