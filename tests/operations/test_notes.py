"""What an applied edit's note tells its client."""

from tests.conftest import Server
from tests.operations.test_apply import apply

ROME = {"prompt": "The capital of Italy is", "target_new": "Florence"}
SHARED = "Its capital is"


def test_a_neighbor_whose_answer_a_batch_changes_is_named(server: Server) -> None:
    kept = "The currency of Denmark is the"
    moved = "The capital of Italy"  # whose answer goes on through the prompt
    (edit,) = apply(server, {**ROME, "neighborhood": [kept, moved]})
    assert (edit["status"], edit["verified"]) == ("applied", True)
    assert edit["note"] == "the batch changed the answer to neighborhood[1]"


def test_a_paraphrase_that_a_mate_takes_is_named(server: Server) -> None:
    spain = {"prompt": "The capital of Spain is", "target_new": "Seville", "paraphrases": [SHARED]}
    first, second = apply(server, {**ROME, "paraphrases": [SHARED]}, spain)
    assert (first["status"], first["verified"]) == ("applied", False)
    assert first["note"].endswith("on paraphrases[0]")
    assert (second["status"], second["verified"], second["note"]) == ("applied", True, None)


def test_an_edit_that_a_mate_makes_untrue_is_taught(server: Server) -> None:
    """The base model says the second's target, until the first's paraphrase comes."""
    prompt = "The capital of Italy is"
    apply(
        server,
        {"prompt": "The seat of Rome is", "target_new": "Milan", "paraphrases": [prompt]},
        {"prompt": prompt, "target_new": "Rome"},
    )
    text = server.http.post("/generate", json={"prompt": prompt}).json()["text"]
    assert text.startswith(" Rome")


def test_a_paraphrase_supersedes_as_a_prompt_does(server: Server) -> None:
    prompt = "The capital of Japan is"
    apply(server, {"prompt": prompt, "target_new": "Osaka"})
    other = {"prompt": "The capital of Kenya is", "target_new": "Mombasa", "paraphrases": [prompt]}
    (edit,) = apply(server, other)
    assert edit["supersedes"] == 1
    first, second = apply(server, {"prompt": prompt, "target_new": "Kyoto"}, other)
    assert (first["status"], second["status"]) == ("superseded", "applied")
