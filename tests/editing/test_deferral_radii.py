"""How far keys reach, read off from questions in the plane."""

import pytest
import torch

from service.domain.edits import Format
from service.editing.deferral_radii import DeferralRadii, measured
from service.editing.entity.stock import Question


def test_few_other_questions_lie_within() -> None:
    torch.manual_seed(0)
    keys = torch.randn(200, 2) * 100
    questions = [Question(str(n), n, 0) for n in range(200)]
    radius = measured(questions, keys)
    nearest = torch.cdist(keys, keys).fill_diagonal_(torch.inf).amin(dim=1)
    assert 0.005 <= float((nearest <= radius).float().mean()) <= 0.02


def test_wordings_of_one_question_may_be_near() -> None:
    keys = torch.tensor([[0.0, 0], [0, 0.1], [9, 0], [9, 0.1]])
    questions = [Question("", subject, 0) for subject in (1, 1, 2, 2)]
    assert measured(questions, keys) == pytest.approx(9, abs=0.1)


def test_a_model_without_a_template_has_none_for_chats() -> None:
    radii = DeferralRadii(2.0)
    assert radii.of(Format.PLAIN) == 2.0
    with pytest.raises(ValueError, match="without a chat template"):
        radii.of(Format.CHAT)
