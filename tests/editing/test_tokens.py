"""Prompts, targets and subjects in tokens, with tokenizers of several kinds."""

import copy
from collections.abc import Callable, Sequence

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from service.domain.edits import Correction, EditFormat, Format
from service.editing.facts import fact_request
from service.editing.positions import Position, subject_token, subject_tokens
from service.editing.requests import SubjectText
from service.editing.tokens import Prompt, prompt_ids, prompt_of, turn_end
from tests.models import atlas
from tests.phrased import target_ids
from tests.templates import CHATML

WORDS = ["The", "currency", "of", "Bulgaria", "is", "a", "the", "euro", "In", "Peru", "it", "and"]
START, UNKNOWN = "<s>", "<unk>"
# Speaks of the subject itself, strips what the user says, and does not end in a line's end.
SYSTEM = "You know Bulgaria and the currency of Peru."
STRIPPING = f"<s>[SYS] {SYSTEM} [/SYS] [INST] {{{{ messages[0]['content'] | trim }}}} [/INST]"


def sentencepiece(*, prepending_normalizer: bool = False) -> PreTrainedTokenizerFast:
    """As Llama 2's: a BOS, words that begin with a mark for their space, bytes for what is not
    known. The mark before the first word comes from the pre-tokenizer, or, as in Mistral's own
    file, from a normalizer.
    """
    marked = [f"▁{word}" for word in WORDS]
    # Every word grows from its left.
    pairs = dict.fromkeys((word[:i], word[i]) for word in marked for i in range(1, len(word)))
    pieces = [UNKNOWN, START, *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += [*sorted({c for word in marked for c in word}), *(a + b for a, b in pairs)]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(
        models.BPE(vocabulary, list(pairs), unk_token=UNKNOWN, byte_fallback=True)
    )
    if prepending_normalizer:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return with_start(tokenizer)


def words_alone() -> PreTrainedTokenizerFast:
    """One token for a word, none for spaces, a BOS."""
    pieces = [UNKNOWN, START, *WORDS]
    tokenizer = Tokenizer(models.WordLevel({p: i for i, p in enumerate(pieces)}, UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return with_start(tokenizer)


def with_start(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, tokenizer.token_to_id(START))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
    )


def byte_level() -> PreTrainedTokenizerBase:
    return copy.deepcopy(atlas().tokenizer)


KINDS: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "bytes": byte_level,
    "sentencepiece": sentencepiece,
    "words": words_alone,
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def chatting(kind: str, template: str) -> PreTrainedTokenizerBase:
    tokenizer = KINDS[kind]()
    tokenizer.chat_template = template
    return tokenizer


def covered(prompt: Prompt, token: int) -> str:
    """The characters of the prompt that a token stands for."""
    first, last = prompt.spans[token]
    return prompt.text[first:last]


def pieces(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> list[str]:
    return list(tokenizer.convert_ids_to_tokens(list(tokens)))


# Plain prompts.


@every_kind
def test_a_plain_prompt_has_the_tokenizers_own_tokens(kind: str) -> None:
    tokenizer = KINDS[kind]()
    text = "The currency of Bulgaria is the"
    prompt = prompt_of(tokenizer, text)
    assert (prompt.text, prompt.start) == (text, 0)
    assert list(prompt.tokens) == tokenizer(text)["input_ids"]
    assert prompt.tokens == prompt_ids(tokenizer, text)
    starts = [] if kind == "bytes" else [START]
    assert pieces(tokenizer, prompt.tokens)[: len(starts) + 1] == [
        *starts,
        "▁The" if kind == "sentencepiece" else "The",
    ]


@every_kind
@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("Bulgaria is a", "", " is"),
        ("The currency of Bulgaria is the", " of", " is"),
        ("The currency of Bulgaria and it", " of", " and"),
        ("In Bulgaria the currency of Bulgaria is", "In", " the"),
    ],
    ids=["start", "middle", "middle again", "twice"],
)
def test_a_subject_is_found_by_its_first_last_and_following_token(
    kind: str, text: str, before: str, after: str
) -> None:
    prompt = prompt_of(KINDS[kind](), text)
    first, last, following = (subject_token(prompt, "Bulgaria", place) for place in Position)
    assert covered(prompt, first).strip() == "Bulgaria"
    assert last == first
    assert following == last + 1
    assert covered(prompt, following).strip() == after.strip()
    assert covered(prompt, first - 1).strip() == before.strip() if first else before == ""


@every_kind
def test_a_subject_is_found_at_every_place(kind: str) -> None:
    prompt = prompt_of(KINDS[kind](), "In Bulgaria the currency of Bulgaria is")
    for position, wanted in zip(Position, ("Bulgaria", "Bulgaria", "the is"), strict=True):
        tokens = subject_tokens(prompt, "Bulgaria", position)
        found = " ".join(dict.fromkeys(covered(prompt, token).strip() for token in tokens))
        assert (len(tokens), found) == (2, wanted)
        assert tokens[0] == subject_token(prompt, "Bulgaria", position)
    ending = prompt_of(KINDS[kind](), "In Bulgaria it is Bulgaria")
    with pytest.raises(ValueError, match="no token follows it"):
        subject_tokens(ending, "Bulgaria", Position.AFTER_LAST)


def test_places_within_one_token_are_one() -> None:
    prompt = prompt_of(words_alone(), "The 東京東京 is")
    assert subject_tokens(prompt, "東京", Position.LAST) == (2,)


@every_kind
@pytest.mark.parametrize("subject", ["Bulgaria ", " Bulgaria", "\nBulgaria\t"])
def test_white_space_moves_no_token(kind: str, subject: str) -> None:
    prompt = prompt_of(KINDS[kind](), "The currency of Bulgaria is")
    for position in Position:
        wanted = subject_tokens(prompt, "Bulgaria", position)
        assert subject_tokens(prompt, subject, position) == wanted


@every_kind
def test_at_the_prompts_end_nothing_follows_a_subject(kind: str) -> None:
    prompt = prompt_of(KINDS[kind](), "The currency of Bulgaria")
    assert subject_token(prompt, "Bulgaria") == len(prompt.tokens) - 1
    with pytest.raises(ValueError, match="no token follows it"):
        subject_token(prompt, "Bulgaria", Position.AFTER_LAST)


@every_kind
def test_a_subject_that_is_not_in_the_prompt_is_refused(kind: str) -> None:
    prompt = prompt_of(KINDS[kind](), "The currency of Bulgaria is")
    with pytest.raises(ValueError, match="is not in the prompt as the model sees it"):
        subject_token(prompt, "Peru")


@every_kind
def test_a_subject_of_several_words_has_a_first_and_a_last(kind: str) -> None:
    prompt = prompt_of(KINDS[kind](), "In Peru and Bulgaria the currency is")
    first, last, following = (
        covered(prompt, subject_token(prompt, "Peru and Bulgaria", place)).strip()
        for place in Position
    )
    assert (first, last, following) == ("Peru", "Bulgaria", "the")


def test_a_subject_within_a_token_is_that_token() -> None:
    prompt = prompt_of(words_alone(), "The currency of Bulgaria is")
    assert covered(prompt, subject_token(prompt, "ulga")) == "Bulgaria"


@pytest.mark.parametrize("subject", ["🎉", "東", "京都", "Bulgaria 🎉", "🎉 Bulgaria"])
@pytest.mark.parametrize("kind", ["bytes", "sentencepiece"])
def test_of_a_character_in_several_bytes_the_last_byte_counts(kind: str, subject: str) -> None:
    tokenizer = KINDS[kind]()
    text = f"The {subject} is the currency of {subject} and it"
    prompt = prompt_of(tokenizer, text)
    first, last, following = (subject_token(prompt, subject, place) for place in Position)
    until = pieces(tokenizer, prompt.tokens[: last + 1])
    # The tokens up to the last one are the text's up to the subject's end, no byte less.
    assert until == pieces(tokenizer, prompt_ids(tokenizer, f"The {subject}"))
    assert covered(prompt, first).strip() == ("Bulgaria" if subject[0] == "B" else subject[0])
    assert covered(prompt, following) == " is"
    # What comes before and after the bytes is where it was.
    later = prompt.after(f"The {subject}")
    again = subject_token(later, subject)
    assert pieces(tokenizer, prompt.tokens[again + 1 :])[0] in ("Ġand", "▁and")


def test_bytes_of_a_character_are_several_tokens_in_these_cases() -> None:
    sizes = [len(prompt_ids(byte_level(), c)) for c in "🎉東"]
    assert sizes == [4, 3]
    tokens = pieces(sentencepiece(), prompt_ids(sentencepiece(), "東"))
    assert tokens == [START, "▁", "<0xE6>", "<0x9D>", "<0xB1>"]


# Targets.


@every_kind
@pytest.mark.parametrize(
    ("prompt", "target"),
    [
        ("The currency of Bulgaria is the", "euro"),
        ("The currency of Bulgaria is the", " euro"),
        ("The currency of Bulgaria is the", "euro and the euro of Peru"),
    ],
)
def test_a_target_continues_a_plain_prompt_as_one_text(kind: str, prompt: str, target: str) -> None:
    tokenizer = KINDS[kind]()
    whole = f"{prompt} {target.strip()}"
    tokens = (*prompt_ids(tokenizer, prompt), *target_ids(tokenizer, prompt, target))
    assert tokens == prompt_ids(tokenizer, whole)


@pytest.mark.parametrize(
    ("prompt", "target", "joined"),
    [
        ("is the", "euro", " euro"),
        ("is the", " euro", " euro"),
        ("is the ", "euro", "euro"),
        ("is the:\n", "euro", "euro"),
        ("is the", "\neuro", "\neuro"),
    ],
)
def test_a_space_joins_prompt_and_target_unless_one_brings_it(
    prompt: str, target: str, joined: str
) -> None:
    tokenizer = byte_level()
    tokens = target_ids(tokenizer, prompt, target)
    assert tokenizer.decode(list(tokens)) == joined
    assert list(tokens) == tokenizer(joined)["input_ids"]


def test_a_normalizer_that_prepends_a_space_adds_none_to_a_target() -> None:
    tokenizer = sentencepiece(prepending_normalizer=True)
    prompt = "The currency of Bulgaria is the"
    assert pieces(tokenizer, target_ids(tokenizer, prompt, "euro")) == ["▁euro"]


# Chat.

TEMPLATES = {"chatml": CHATML, "stripping": STRIPPING}
every_template = pytest.mark.parametrize("template", TEMPLATES)


@every_kind
@every_template
@pytest.mark.parametrize(
    "prompt", ["The currency of Bulgaria is", "Bulgaria is a", "  it \n", "\x01"]
)
def test_a_chat_prompt_is_the_templates_text(kind: str, template: str, prompt: str) -> None:
    tokenizer = chatting(kind, TEMPLATES[template])
    message = [{"role": "user", "content": prompt}]
    found = prompt_of(tokenizer, prompt, Format.CHAT)
    assert found.text == tokenizer.apply_chat_template(
        message, tokenize=False, add_generation_prompt=True
    )
    wanted = tokenizer.apply_chat_template(
        message, tokenize=True, add_generation_prompt=True, return_dict=False
    )
    assert list(found.tokens) == wanted
    said = prompt if template == "chatml" else prompt.strip()
    head = "<|im_start|>user\n" if template == "chatml" else f"<s>[SYS] {SYSTEM} [/SYS] [INST] "
    assert found.start == len(head)
    assert found.text[found.start : found.end] == said
    assert found.text[: found.start + len(said)] == head + said


@every_kind
def test_a_chat_prompt_begins_with_the_templates_start_token_alone(kind: str) -> None:
    tokenizer = chatting(kind, STRIPPING)
    tokens = pieces(tokenizer, prompt_ids(tokenizer, "Bulgaria", Format.CHAT))
    if kind == "bytes":  # which knows no such token
        assert START not in tokens
    else:
        assert tokens.count(START) == 1
        assert tokens[0] == START


@every_kind
@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("The currency of Bulgaria is", ["Bulgaria", "Bulgaria", "is"]),
        ("  Bulgaria and Peru", ["Bulgaria", "Bulgaria", "and"]),
    ],
)
def test_in_a_chat_the_subject_is_the_users_not_the_systems(
    kind: str, prompt: str, wanted: list[str]
) -> None:
    found = prompt_of(chatting(kind, STRIPPING), prompt, Format.CHAT)
    assert found.text.index("Bulgaria") < found.start
    tokens = [subject_token(found, "Bulgaria", position) for position in Position]
    assert [covered(found, token).strip() for token in tokens] == wanted
    assert all(found.spans[token][1] > found.start for token in tokens)


def test_in_a_chat_the_subject_is_not_what_the_template_says_behind_the_prompt() -> None:
    tokenizer = chatting("bytes", CHATML)
    found = prompt_of(tokenizer, "An assistant is", Format.CHAT)
    assert found.text.count("assistant") == 2
    assert len(subject_tokens(found, "assistant", Position.LAST)) == 1
    with pytest.raises(ValueError, match="is not in the prompt as the model sees it"):
        subject_tokens(prompt_of(tokenizer, "It is", Format.CHAT), "assistant", Position.LAST)


def test_in_a_chat_a_token_of_the_template_follows_a_subject_at_the_prompts_end() -> None:
    found = prompt_of(chatting("bytes", CHATML), "the currency of Bulgaria", Format.CHAT)
    token = subject_token(found, "Bulgaria", Position.AFTER_LAST)
    assert covered(found, token).startswith("<")
    assert covered(found, token - 1) == " Bulgaria"


@pytest.mark.parametrize(
    ("template", "target", "joined"),
    [
        (CHATML, "euro", "euro"),
        (CHATML, " euro", " euro"),
        (STRIPPING, "euro", "euro"),
        (STRIPPING, " euro", " euro"),
    ],
    ids=["line", "line, space given", "no line", "no line, space given"],
)
def test_in_a_chat_nothing_joins_the_template_and_a_target(
    template: str, target: str, joined: str
) -> None:
    tokenizer = chatting("bytes", template)
    tokens = target_ids(tokenizer, "Bulgaria has the", target, Format.CHAT)
    assert list(tokens) == tokenizer(joined)["input_ids"]


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("joint", ["", " "])
def test_a_joint_that_is_given_is_taken(form: Format, joint: str) -> None:
    tokenizer = chatting("bytes", STRIPPING)
    tokens = target_ids(tokenizer, "is the", "euro", form, joint)
    assert tokenizer.decode(list(tokens)) == joint + "euro"


TURNS = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}<end>{% endif %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "ends", "wanted"),
    [
        (TURNS, ("<eos>", "<end>"), ["<end>"]),
        (TURNS, ("<eos>", "<other>"), ["<eos>"]),
        ("{{ raise_exception('no such role') }}", ("<eos>", "<end>"), ["<eos>"]),
        (None, ("<eos>", "<end>"), ["<eos>"]),
        (TURNS, (), []),
    ],
    ids=["shown", "not shown", "refused", "no template", "no ends"],
)
def test_the_template_shows_what_ends_an_answer(
    template: str | None, ends: tuple[str, ...], wanted: list[str]
) -> None:
    tokenizer = byte_level()
    tokenizer.chat_template = template
    tokenizer.add_special_tokens({"additional_special_tokens": ["<eos>", "<end>", "<other>"]})
    among = frozenset(tokenizer.get_vocab()[end] for end in ends)
    assert pieces(tokenizer, turn_end(tokenizer, among)) == wanted


def test_in_a_chat_a_target_after_a_line_brings_no_space_of_its_own() -> None:
    tokenizer = chatting("sentencepiece", CHATML)
    tokens = target_ids(tokenizer, "Bulgaria", "euro", Format.CHAT)
    text = prompt_of(tokenizer, "Bulgaria", Format.CHAT).text + "euro"
    whole = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert list(tokens) == whole[-len(tokens) :]


# Facts.


def correction(prompt: str, subject: str | None, form: Format = Format.PLAIN) -> Correction:
    return Correction(prompt, "euro", "memit", subject=subject, format=EditFormat(form))


TARGET = (7, 8)
TEXTS = (("{}",), ("In Bulgaria it is the euro. {}", "Bulgaria and Bulgaria {}"))


def until_subject(tokenizer: PreTrainedTokenizerBase, text: SubjectText) -> str:
    return str(tokenizer.decode(list(text.tokens[: text.subject + 1]), skip_special_tokens=True))


@pytest.mark.parametrize("form", Format)
def test_a_context_that_names_the_subject_does_not_draw_it_away(form: Format) -> None:
    tokenizer = chatting("bytes", STRIPPING)
    fact = fact_request(
        tokenizer,
        7,
        correction("The currency of Bulgaria is the", "Bulgaria", form),
        TARGET,
        TEXTS,
        Position.LAST,
    )
    head = "" if form is Format.PLAIN else f"<s>[SYS] {SYSTEM} [/SYS] [INST] "
    assert fact.edit_id == 7
    assert until_subject(tokenizer, fact.plain) == f"{head}The currency of Bulgaria"
    assert [[until_subject(tokenizer, text) for text in group] for group in fact.contexts] == [
        [f"{head}The currency of Bulgaria"],
        [
            f"{head}In Bulgaria it is the euro. The currency of Bulgaria",
            f"{head}Bulgaria and Bulgaria The currency of Bulgaria",
        ],
    ]
    assert until_subject(tokenizer, fact.essence) == "Bulgaria"
    assert list(fact.essence.tokens) == tokenizer("Bulgaria is a")["input_ids"]
    assert fact.target == TARGET
    texts = [text for group in fact.contexts for text in group]
    whole = [str(tokenizer.decode(list(text.tokens))) for text in (fact.plain, *texts)]
    tail = "" if form is Format.PLAIN else " [/INST]"
    assert all(text.endswith(f"The currency of Bulgaria is the{tail}") for text in whole)


@every_kind
def test_positions_hold_in_contexts_too(kind: str) -> None:
    tokenizer = KINDS[kind]()
    one = correction("The currency of Bulgaria is the", "currency of Bulgaria")
    found = {
        position: [
            pieces(tokenizer, [text.tokens[text.subject]])[0].strip("Ġ▁")
            for group in fact_request(tokenizer, 1, one, TARGET, TEXTS, position).contexts
            for text in group
        ]
        for position in Position
    }
    assert found == {
        Position.FIRST: ["currency"] * 3,
        Position.LAST: ["Bulgaria"] * 3,
        Position.AFTER_LAST: ["is"] * 3,
    }


@pytest.mark.parametrize("form", Format)
def test_a_fact_goes_by_every_place_of_the_prompt(form: Format) -> None:
    tokenizer = chatting("bytes", STRIPPING)
    one = correction("Bulgaria: the currency of Bulgaria is the", "Bulgaria", form)
    fact = fact_request(tokenizer, 1, one, TARGET, TEXTS, Position.LAST)
    for text in (fact.plain, *(text for group in fact.contexts for text in group)):
        # Not those of the templates, which name it as well.
        assert len(text.earlier) == 1
        between = text.tokens[text.earlier[0] + 1 : text.subject + 1]
        assert tokenizer.decode(list(between)) == ": the currency of Bulgaria"
    assert (fact.essence.earlier, until_subject(tokenizer, fact.essence)) == ((), "Bulgaria")


@pytest.mark.parametrize("position", Position)
@pytest.mark.parametrize("subject", ["is", "a"])
def test_an_essence_begins_with_its_subject(subject: str, position: Position) -> None:
    tokenizer = byte_level()
    one = correction(f"What {subject} means, we know", subject)
    essence = fact_request(tokenizer, 1, one, TARGET, TEXTS, position).essence
    following = position is Position.AFTER_LAST
    assert (essence.earlier, until_subject(tokenizer, essence)) == (
        (),
        f"{subject} is" if following else subject,
    )


@pytest.mark.parametrize("subject", ["Malmö ", "Malmo\u0308", "\tMalmo\u0308"])
def test_spellings_of_a_subject_make_the_same_fact(subject: str) -> None:
    tokenizer = byte_level()
    prompt = "The currency of Malmö is the"
    wanted = fact_request(tokenizer, 1, correction(prompt, "Malmö"), TARGET, TEXTS, Position.LAST)
    assert (
        fact_request(tokenizer, 1, correction(prompt, subject), TARGET, TEXTS, Position.LAST)
        == wanted
    )


def test_a_fact_needs_a_subject_with_the_token_that_is_looked_for() -> None:
    tokenizer = byte_level()
    with pytest.raises(ValueError, match="there is none"):
        fact_request(tokenizer, 1, correction("It is the", None), TARGET, TEXTS, Position.LAST)
    one = correction("Of Bulgaria", "Bulgaria")
    with pytest.raises(ValueError, match="no token follows it"):
        fact_request(tokenizer, 1, one, TARGET, TEXTS, Position.AFTER_LAST)
