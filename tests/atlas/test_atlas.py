"""The committed weights know what the README says they know."""

import pytest

from service.atlas import EDITS_FILE, MODEL_DIR
from service.atlas.accuracy import Accuracy, accuracy, known_pairs
from service.atlas.edits import counterfactual_edits, read_edits
from service.atlas.facts import Fact, build_facts
from service.atlas.phrasings import PHRASINGS, held_out, prompt
from service.editing.codebook import Codebook
from tests.models import atlas, atlas_engine


@pytest.fixture(scope="module")
def facts() -> list[Fact]:
    return build_facts()


@pytest.fixture(scope="module")
def measured(facts: list[Fact]) -> Accuracy:
    """On every fourth fact, in every phrasing: the trainer measures all, which takes a minute."""
    sample = facts[::4]
    known = known_pairs(atlas().model, atlas().tokenizer, sample)
    return accuracy(sample, known, held_out(facts))


def test_there_is_enough_to_know(facts: list[Fact]) -> None:
    assert len(facts) >= 4_000
    assert len({fact.relation for fact in facts}) >= 8
    assert min(map(len, PHRASINGS.values())) >= 5
    assert all(any(p.startswith("Q: ") for p in phrasings) for phrasings in PHRASINGS.values())


def test_half_of_each_relations_subjects_have_a_phrasing_held_out(facts: list[Fact]) -> None:
    unseen = held_out(facts)
    for relation in PHRASINGS:
        subjects = [fact for fact in facts if fact.relation == relation]
        assert sum(fact in unseen for fact in subjects) == len(subjects) // 2


def test_facts_are_known_in_trained_phrasings(measured: Accuracy) -> None:
    assert measured.all_trained >= 0.97


def test_facts_are_known_in_phrasings_never_seen(measured: Accuracy) -> None:
    assert measured.all_held_out >= 0.85


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in MODEL_DIR.iterdir()) <= 20_000_000


def test_edits_are_made_the_same_every_time_and_only_of_what_is_known(facts: list[Fact]) -> None:
    known = {(fact, phrasing) for fact in facts[::2] for phrasing in range(4)}
    edits = counterfactual_edits(facts, known)
    assert edits == counterfactual_edits(facts, known)
    prompts = {prompt(*pair) for pair in known}
    asked = [
        [e["prompt"], *e["paraphrases"], *(n["prompt"] for n in e["neighborhood"])] for e in edits
    ]
    assert {text for texts in asked for text in texts} <= prompts


def test_the_model_gives_the_evaluation_sets_true_answers() -> None:
    edits = read_edits(EDITS_FILE)[::20]
    pairs = [(edit["prompt"], edit["target_true"]) for edit in edits]
    pairs += [(n["prompt"], n["answer"]) for edit in edits for n in edit["neighborhood"]]
    engine = atlas_engine()
    scores = engine.score(Codebook.empty(), [engine.continuation(*pair) for pair in pairs])
    assert all(score.greedy for score in scores)


def test_the_evaluation_set_is_rich_enough() -> None:
    edits = read_edits(EDITS_FILE)
    assert len(edits) >= 2_000
    prompts = {edit["prompt"] for edit in edits}
    assert len(prompts) == len(edits)
    for edit in edits:
        assert edit["subject"] in edit["prompt"]
        assert edit["target_new"] != edit["target_true"]
        assert len(edit["paraphrases"]) >= 2
        assert len(edit["neighborhood"]) >= 5
        assert not prompts & {neighbor["prompt"] for neighbor in edit["neighborhood"]}
