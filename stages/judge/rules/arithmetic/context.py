"""Words beside an equality that do not state it as a fact."""

from stages.judge.rules.arithmetic.tokens import Token
from stages.judge.rules.arithmetic.word_lists import make_word_set

NO_FACT = "not stated as a fact"

CLAUSE_TOKENS = 60
"""Tokens read on each side of an equals sign."""

_CLAUSE_ENDS = frozenset(".,;?\n")
_SENTENCE_ENDS = frozenset(".;?\n")
_EXPRESSION = frozenset({"number", "operator", "open", "close", "command", "bang", "percent"})
_INTRODUCTIONS = frozenset({"then", "we", "get", "have", "this", "gives", "\\(", "\\)", "\\[", "\\]"})
_INTRODUCERS = frozenset({":", r"\[", r"\(", "$"})
"""A line that ends in one of these continues in the next: verify if:\\n 2 + 2 = 5."""

_HYPOTHETICAL = make_word_set(
    "if suppose supposing assume assuming assumption imagine claim claims claimed guess try trying verify "
    "instead not isn't doesn't don't cannot can't never neither whether unless false wrong incorrect mod modulo "
    "congruent remainder base check checking test testing satisfy satisfies satisfying such no without might think "
    "thinks write writes wrote say says said believes lhs rhs option options choice choices "
    "supposed supposedly allegedly hypothetically hypothesis provided granted told stated states quoted quote"
)
_REPORTS = make_word_set(
    "thought figured answered replied argued argues asserted asserts insisted insists concluded concludes guessed "
    "guesses claimed assumed assumes supposes proposed proposes suggested suggests reported reports"
)
"""Said of others: "we concluded that 3 + 4 = 8" states it, "Tom concluded that" does not."""

_OWN = make_word_set("we i have i've we've our my this which that")
_DETERMINERS = make_word_set("the a an any all these those this that our its")
_THEIRS = make_word_set("his her their someone's somebody's")
_WORKS = make_word_set("answer answers solution solutions result work calculation conclusion reply response equation")
_SOURCES = make_word_set("him her them student students")

_ROUGH = make_word_set(
    "would could should were approximately about roughly around nearly almost approx estimate rounded rounding round "
    "rounds nearest need needs needed require requires required must want wants"
)
"""An equation beside one of these may be rounded or wanted; a value that is right is still right."""

_ASSUMPTIONS = make_word_set("suppose supposing assume assuming assumption imagine pretend")
"""They hold for the rest of the sentence."""

_MODALS = make_word_set("need needs needed must should would could")
_TASKS = make_word_set(
    "add subtract multiply divide find calculate compute determine sum combine total pay buy spend account consider"
)
"""What is needed is done at once: "we need to add 3 and 4: 3 + 4 = 7" states it, "we need 3 + 4 = 8" does not."""

_SUBSTITUTIONS = make_word_set("substitute substitutes substituting plug plugging put putting insert inserting")
_TESTED = make_word_set("equation equations inequality condition conditions relation system")


def find_clause_skip_reason(tokens: list[Token], equals_at: int) -> str:
    """Why the equality whose equals sign is at `equals_at` in `tokens` is not stated as a fact, "" if it is."""
    words: list[str] = []
    is_clause = True
    for position in range(equals_at - 1, max(0, equals_at - CLAUSE_TOKENS) - 1, -1):
        text = tokens[position].text.lower()
        is_introduced = position > 0 and tokens[position - 1].text in _INTRODUCERS
        is_clause = is_clause and (text not in _CLAUSE_ENDS or is_introduced)
        if text in _ASSUMPTIONS:
            return f"{NO_FACT}: the sentence says {text}"
        if not is_clause and text in _SENTENCE_ENDS:
            break
        if is_clause and not (text in _MODALS and _is_task(tokens[position + 1 : position + 3])):
            words.append(text)
    if reporter := _find_reporter(tokens, equals_at):
        return f"{NO_FACT}: {reporter}"
    if _is_test(tokens, equals_at):
        return f"{NO_FACT}: follows the value of a letter"
    for token in tokens[equals_at : equals_at + CLAUSE_TOKENS]:
        if token.text == "?":
            return f"{NO_FACT}: a question"
        if token.text in _CLAUSE_ENDS:
            break
        words.append(token.text.lower())
    if _SUBSTITUTIONS.intersection(words) and _TESTED.intersection(words):
        return f"{NO_FACT}: a substitution into an equation"  # it may be a test of a value
    hypothetical = next((f"{NO_FACT}: {word}" for word in words if word in _HYPOTHETICAL), "")
    return hypothetical or next((f"stated with {word}" for word in words if word in _ROUGH), "")


def _find_reporter(tokens: list[Token], equals_at: int) -> str:
    """What lays the equation into another's mouth or makes a premise of it, "" where the step states it itself."""
    before = tokens[max(0, equals_at - CLAUSE_TOKENS) : equals_at]
    sentence_at = next((at for at in reversed(range(len(before))) if before[at].text in _SENTENCE_ENDS), -1) + 1
    before = before[sentence_at:]
    texts = [token.text.lower().replace("’", "'") for token in before]
    quotes = [text for text in texts if text in '"“”']
    if quotes and quotes[-1] != "”" and (len(quotes) % 2 or quotes[-1] == "“"):
        return "quoted"
    for at, text in enumerate(texts):
        following, previous = texts[at + 1 : at + 3], texts[at - 1] if at else ""
        is_last_clause = not _CLAUSE_ENDS.intersection(texts[at + 2 :])  # His answer, 2 + 2 = 5, is on the board
        if text == "given" and following[:1] != ["by"] and previous not in _DETERMINERS and is_last_clause:
            return text
        if text in _REPORTS and previous not in _OWN and is_last_clause:
            return text
        if text in _WORKS and is_last_clause and (previous in _THEIRS or previous.endswith("'s")):
            return f"{previous} {text}"
        if text == "according" and len(following) == 2:
            name = before[at + 2].text
            if following[1] in _SOURCES or (name[:1].isupper() and len(name) > 1):
                return f"according to {name}"
    return ""


def _is_task(after: list[Token]) -> bool:
    return any(token.text.lower() in _TASKS for token in after[: 2 if after[0].text == "to" else 1])


def _is_test(tokens: list[Token], equals_at: int) -> bool:
    """Whether an equation of numbers comes right after the value of a letter: if x = 3, then 2(3) + 1 = 8."""
    after = [
        token.kind for token in tokens[equals_at + 1 : equals_at + 4] if token.text != "-" and token.kind != "money"
    ]
    if after[:1] != ["number"] or after[1:2] in (["operator"], ["equals"]):
        return False
    near = [
        token
        for token in tokens[max(0, equals_at - CLAUSE_TOKENS) : equals_at]
        if token.kind != "money" and token.text.lower() not in _INTRODUCTIONS
    ]
    while near and near[-1].kind in _EXPRESSION:
        near.pop()
    kinds = ["letter" if token.text in ("a", "A", "I") else token.kind for token in near if token.text != "-"][-4:]
    return kinds == ["letter", "equals", "number", "break"] and near[-1].text in (",", ":")
