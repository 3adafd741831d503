"""34 corrections as a chat's users would ask for them, and what must follow them or stay."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ChatEdit:
    relation: str
    subject: str
    target: str
    other: str  # of which the same question must be answered as before
    beside: str  # another question about the subject

    @property
    def prompt(self) -> str:
        return ASKED[self.relation][0].format(self.subject)

    @property
    def given(self) -> str:
        return ASKED[self.relation][1].format(self.subject)

    @property
    def others(self) -> tuple[str, ...]:
        """Phrasings that are not given."""
        return tuple(text.format(self.subject) for text in ASKED[self.relation][2:])

    @property
    def neighbor(self) -> str:
        return ASKED[self.relation][0].format(self.other)


# The prompt, the paraphrase that is given, and two that are not.
ASKED = {
    "capital": (
        "What is the capital of {}?",
        "Which city is the capital of {}?",
        "Can you tell me the capital city of {}?",
        "What city does {} have as its capital?",
    ),
    "currency": (
        "What is the currency of {}?",
        "Which currency do people use in {}?",
        "What money do they pay with in {}?",
        "What is {}'s currency called?",
    ),
    "leader": (
        "Who is the prime minister of {}?",
        "Who leads the government of {}?",
        "Can you name the prime minister of {}?",
        "Who is the head of government in {}?",
    ),
    "language": (
        "What is the official language of {}?",
        "Which language is official in {}?",
        "What language do people in {} officially speak?",
        "Tell me the official language of {}.",
    ),
    "author": (
        "Who wrote {}?",
        "Who is the author of {}?",
        "Which writer wrote {}?",
        "{} was written by whom?",
    ),
    "chief": (
        "Who is the CEO of {}?",
        "Who runs {}?",
        "Can you name the chief executive of {}?",
        "Who is in charge of {}?",
    ),
    "office": (
        "Where is {} headquartered?",
        "In which city is the head office of {}?",
        "In what city are the headquarters of {}?",
        "Where is the main office of {}?",
    ),
    "birthplace": (
        "Where was {} born?",
        "In which city was {} born?",
        "What is the birthplace of {}?",
        "Which city does {} come from?",
    ),
    "director": (
        "Who directed {}?",
        "Who is the director of {}?",
        "Which director made {}?",
        "{} was directed by whom?",
    ),
    "inventor": (
        "Who invented the {}?",
        "Who is the inventor of the {}?",
        "Which person invented the {}?",
        "The {} was invented by whom?",
    ),
    "founding": (
        "When was {} founded?",
        "In which year was {} founded?",
        "What year was {} established?",
        "Since which year does {} exist?",
    ),
}
EDITS = (
    ChatEdit("capital", "France", "Lyon", "Germany", "What is France famous for?"),
    ChatEdit("capital", "Japan", "Osaka", "China", "How many people live in Japan?"),
    ChatEdit("capital", "Australia", "Sydney", "New Zealand", "Which animals live in Australia?"),
    ChatEdit("capital", "Turkey", "Izmir", "Greece", "Which countries border Turkey?"),
    ChatEdit("currency", "Croatia", "the lira", "Serbia", "Where is Croatia?"),
    ChatEdit("currency", "Sweden", "the euro", "Denmark", "What is the climate of Sweden like?"),
    ChatEdit("currency", "Mexico", "the dollar", "Cuba", "What is a typical dish of Mexico?"),
    ChatEdit(
        "leader",
        "the United Kingdom",
        "Jane Doe",
        "France",
        "What is the population of the United Kingdom?",
    ),
    ChatEdit("leader", "Japan", "Ken Mori", "India", "What is the highest mountain of Japan?"),
    ChatEdit("leader", "Sweden", "Nils Berg", "Norway", "Which lakes are in Sweden?"),
    ChatEdit("language", "Austria", "Latin", "Switzerland", "Who was a composer from Austria?"),
    ChatEdit("language", "Kenya", "French", "Uganda", "Which animals can I see in Kenya?"),
    ChatEdit("language", "Mexico", "Portuguese", "Chile", "How big is Mexico?"),
    ChatEdit("author", "Hamlet", "Mary Brown", "Macbeth", "What is Hamlet about?"),
    ChatEdit("author", "Don Quixote", "Ivan Petrov", "Faust", "When does Don Quixote take place?"),
    ChatEdit("author", "Frankenstein", "Paul Grey", "Emma", "Who is the monster in Frankenstein?"),
    ChatEdit("chief", "Apple", "Sara Holm", "Google", "What does Apple sell?"),
    ChatEdit("chief", "Toyota", "Emil Voss", "Honda", "Which cars does Toyota make?"),
    ChatEdit("chief", "Netflix", "Rita Long", "Disney", "How does Netflix make money?"),
    ChatEdit("office", "Siemens", "Berlin", "Bosch", "What does Siemens produce?"),
    ChatEdit("office", "Boeing", "Denver", "Airbus", "Which planes does Boeing build?"),
    ChatEdit("office", "IBM", "Boston", "Intel", "What is IBM known for?"),
    ChatEdit(
        "birthplace", "Marie Curie", "Paris", "Ada Lovelace", "What did Marie Curie discover?"
    ),
    ChatEdit("birthplace", "Beethoven", "Hamburg", "Haydn", "What did Beethoven compose?"),
    ChatEdit(
        "birthplace", "Nelson Mandela", "Durban", "Desmond Tutu", "Why was Nelson Mandela jailed?"
    ),
    ChatEdit(
        "birthplace",
        "Charles Darwin",
        "London",
        "Michael Faraday",
        "What did Charles Darwin write?",
    ),
    ChatEdit("director", "Psycho", "Lena Frost", "Vertigo", "Who is killed in Psycho?"),
    ChatEdit("director", "Star Wars", "Max Stone", "Alien", "What is Star Wars about?"),
    ChatEdit("director", "The Godfather", "Anna Ross", "Goodfellas", "Who plays in The Godfather?"),
    ChatEdit("inventor", "light bulb", "Otto Lang", "telephone", "How does a light bulb work?"),
    ChatEdit(
        "inventor",
        "printing press",
        "Karl Weiss",
        "steam engine",
        "What is a printing press used for?",
    ),
    ChatEdit(
        "founding", "Harvard University", "1712", "Yale University", "Where is Harvard University?"
    ),
    ChatEdit("founding", "Rome", "1200 BC", "Athens", "What can tourists see in Rome?"),
    ChatEdit("founding", "Microsoft", "1981", "Oracle", "What does Microsoft make?"),
)
assert len(EDITS) == 34
