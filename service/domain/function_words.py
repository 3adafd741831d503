"""English words that name nothing by themselves: articles, pronouns, prepositions, auxiliaries.

Texts in other languages have none of them, and rules that go by them find nothing there.
"""

# Stand for something that was named before.
REFERRING = frozenset(
    """
    he her hers him his it its she that their theirs them these they this those
    """.split()  # noqa: SIM905  # a word a line is no list to read
)

FUNCTION_WORDS = REFERRING | frozenset(
    """
    a about above after again against all along already also although always am among an and
    another any anybody anyone anything are around as ask at away back be because been before
    behind being below beneath beside besides between beyond both but by can cannot could did
    do does doing done down during each either else ever every everybody everyone everything
    explain few find for from further get gets getting give given go goes going got had has
    have having hello here hey hi how however i if in inside instead into is just know least
    less let like list many may maybe me might mine more most much must my name neither never
    no nobody none nor not nothing now of off often ok okay on once one ones only onto or
    other others otherwise our ours out outside over own per perhaps please quite rather same
    say says shall should show since so some somebody someone something sometimes still such
    tell than thank thanks the then there therefore through throughout thus to together too
    toward towards under unless until up upon us very was we well were what whatever when
    whenever where whereas wherever whether which whichever while who whoever whom whose why
    will with within without would yes yet you your yours
    """.split()  # noqa: SIM905
)
