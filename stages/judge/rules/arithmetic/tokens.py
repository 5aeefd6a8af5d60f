r"""A step of real text as tokens: numbers, operators, brackets, relations, words, and sources of ambiguity."""

import re
from typing import NamedTuple

from stages.judge.rules.arithmetic.spoken import write_with_signs
from stages.judge.rules.arithmetic.word_lists import make_word_set


class Token(NamedTuple):
    """One token. `kind` is one of the names below; `text` is normalised for operators, relations and commands.

    number, operator (+ - * / ^), open, close, bang, percent, money, unit, equals, relation (any other), word, letter
    (a variable), command (frac, sqrt, binom, pi), break (ends an expression), bullet (a dash that starts a line: list
    mark or minus), line, bad (makes whatever is beside it ambiguous).
    """

    kind: str
    text: str
    has_space: bool
    """White space precedes it."""
    is_spoken: bool = False
    """It is an operator written as a word."""


_PREPARE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mbox|operatorname)\s?\{([^{}]*)\}", r" \1 "),
        (r"\\(?:begin|end)\s?\{(?:align(?:ed|at)?|equation|gather(?:ed)?|split|eqnarray|multline)\*?\}", "\n"),
        (r"\\[dtc]?frac\s?([0-9])\s?([0-9])(?![0-9])", r"\\frac{\1}{\2}"),
        (r"\^\s?\{?\s?\\(?:circ|degree)\s?\}?|\\degree", "°"),
        (r"(?<=[0-9])(?:\{,\}|,?\\[,!])(?=[0-9]{3}(?![0-9]))", ","),
        (r"(?<=[0-9])\*\*(?=[0-9(])", "^"),
        (r"\*\*", " "),
        (r"(?:√|(?<![a-zA-Z\\])sqrt)\s?(?=\()", r"\\sqrt"),
        (r"√\s?([0-9]{1,9})(?![0-9.,/^])", r"\\sqrt{\1}"),
        (r"(?<=[0-9])\s(?:percent|per cent)\b", "%"),
    )
)
_TOKEN = re.compile(
    r"""(?P<space>[^\S\n]+|\\[,;:!>\ ]|~|&|\\q?quad(?![a-zA-Z])
            |\\(?:displaystyle|textstyle|boxed|fbox|mathbf|bf|rm|limits)(?![a-zA-Z])|`)
    |(?P<size>\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z]))
    |(?P<bullet>(?:^|(?<=\n))[^\S\n]*[-*•–](?=\s))
    |(?P<line>\n|\\\\(?:[^\S\n]*\n)?)
    |(?P<code>0[xXbBoO][0-9a-fA-F]+)
    |(?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|(?<![0-9.])\.[0-9]+)
    |(?P<dots>\.\.+|…|\\[lcdv]?dots[bcmio]?(?![a-zA-Z]))
    |(?P<percent>\\?%)
    |(?P<money>\\?\$|[€£¥])
    |(?P<unit>°)
    |(?P<command>\\[a-zA-Z]+)
    |(?P<delimiter>\\[()\[\]])
    |(?P<relation><=|>=|!=|==>|=>|->|-->|<->|[<>≈≠≤≥≡≅∼≃→⇒⟹⇔∈])
    |(?P<equals>==?)
    |(?P<operator>[-+*/^−–×·⋅∙÷∕])
    |(?P<power>⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,9})
    |(?P<open>[(\[{])
    |(?P<close>[)\]}])
    |(?P<bang>!)
    |(?P<word>[^\W\d_]+(?:['’][^\W\d_]+|[-/][^\W\d_]{2,})*)
    |(?P<break>[,;:.?](?=\s|["'”)]|\\[)\]]|\$|$)|[—"“”])
    |(?P<bad>.)""",
    re.VERBOSE | re.DOTALL,
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_OPERATORS = {"−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "∕": "/"}
_OPERATOR_COMMANDS = {"times": "*", "cdot": "*", "ast": "*", "div": "/"}
_OPERATOR_WORDS = {"times": "*", "plus": "+", "minus": "-"}
_RELATION_COMMANDS = make_word_set(
    "approx sim simeq cong equiv ne neq le leq ge geq leqslant geqslant lt gt to rightarrow Rightarrow implies iff "
    "Longrightarrow longrightarrow Leftrightarrow leftrightarrow therefore because in mapsto propto"
)
_COMMANDS = {"frac": "frac", "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "sqrt": "sqrt", "binom": "binom",
             "dbinom": "binom", "tbinom": "binom", "pi": "pi"}  # fmt: skip
OPERAND_STARTS = frozenset({"number", "open", "money", "command"})
OPERAND_ENDS = frozenset({"number", "close", "percent", "unit", "bang"})


def tokenize(text: str) -> list[Token]:
    """The tokens of one step, in one pass; never raises."""
    text = write_with_signs(text)
    for pattern, replacement in _PREPARE:
        text = pattern.sub(replacement, text)
    tokens: list[Token] = []
    has_space = False
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup)
        if kind in ("space", "size"):  # a\left( is a product or a function, as a( is
            has_space = has_space or kind == "space"
            continue
        tokens.extend(_read_token(kind, match.group(), has_space))
        has_space = kind == "line"
    return [*_join_lines(_merge_products(tokens)), Token("break", "", True)]


def _read_token(kind: str, text: str, has_space: bool) -> list[Token]:
    if kind == "power":
        minus = [Token("operator", "-", False)] if text[0] == "⁻" else []
        digits = text.lstrip("⁻").translate(_SUPERSCRIPTS)
        return [Token("operator", "^", False), *minus, Token("number", digits, False)]
    if kind == "operator":
        return [Token(kind, _OPERATORS.get(text, text), has_space)]
    if kind == "command":
        return [_read_command(text[1:], has_space)]
    if kind == "word" and text in _OPERATOR_WORDS:
        return [Token("operator", _OPERATOR_WORDS[text], has_space, is_spoken=True)]
    if kind == "word" and len(text) == 1 and text not in "aAI":
        return [Token("letter", text, has_space)]
    kind = {"dots": "bad", "code": "bad", "delimiter": "break"}.get(kind, kind)
    return [Token(kind, text, has_space)]


def _read_command(name: str, has_space: bool) -> Token:
    if name in _OPERATOR_COMMANDS:
        return Token("operator", _OPERATOR_COMMANDS[name], has_space)
    if name in _RELATION_COMMANDS:
        return Token("relation", name, has_space)
    return Token("command", _COMMANDS[name], has_space) if name in _COMMANDS else Token("bad", name, has_space)


def _merge_products(tokens: list[Token]) -> list[Token]:
    """`tokens` with x, "of" and "divided by" as operators where they are between two operands."""
    result: list[Token] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        length = 1
        if _is_between(tokens, position, "word") and token.is_spoken:  # the number of times the shelter has kittens
            token = Token("word", "times", token.has_space)
        elif _multiplies_units(tokens, position):
            token = Token("operator", "*", True)
        elif token.kind in ("word", "letter") and result and result[-1].kind in OPERAND_ENDS:
            length = 2 if _starts_with_any(tokens, position, ("divided", "by"), ("multiplied", "by")) else 1
            after = tokens[position + length] if position + length < len(tokens) else None
            if after is not None and after.kind in OPERAND_STARTS:
                is_operator = token.has_space if after.has_space else not token.has_space and after.kind != "open"
                if token.text in ("x", "X") and is_operator:
                    is_power = not after.has_space and after.text in ("2", "3")  # 16x2 may be 16 x squared
                    token = Token("bad" if is_power else "operator", "x" if is_power else "*", token.has_space)
                elif (token.text == "of" and not _ends_with_count(result)) or length == 2:
                    token = Token("operator", "/" if token.text == "divided" else "*", token.has_space, is_spoken=True)
                else:
                    length = 1
            else:
                length = 1
        result.append(token)
        position += length
    return result


def _ends_with_count(tokens: list[Token]) -> bool:
    """Whether the last token is a whole number that is no denominator: 4 of 5 is no product."""
    return tokens[-1].kind == "number" and "." not in tokens[-1].text and [t.text for t in tokens[-2:-1]] != ["/"]


def _is_between(tokens: list[Token], position: int, kind: str) -> bool:
    return 0 < position < len(tokens) - 1 and tokens[position - 1].kind == tokens[position + 1].kind == kind


def _multiplies_units(tokens: list[Token], position: int) -> bool:
    """Whether the token is the sign in 5 people x 3 days."""
    before, token, after = (
        tokens[max(0, position - 3) : position],
        tokens[position],
        tokens[position + 1 : position + 2],
    )
    is_spaced = token.has_space and bool(after) and after[0].has_space and after[0].kind in ("number", "money")
    follows_unit = bool(before) and before[-1].kind == "word" and any(each.kind in OPERAND_ENDS for each in before)
    return token.text in ("x", "X") and is_spaced and follows_unit


def _starts_with_any(tokens: list[Token], position: int, *phrases: tuple[str, ...]) -> bool:
    return any(tuple(token.text for token in tokens[position : position + len(phrase)]) == phrase for phrase in phrases)


def _join_lines(tokens: list[Token]) -> list[Token]:
    """`tokens` without line ends beside a relation, and without a single one after an operator; two end a paragraph."""
    result: list[Token] = []
    for position, token in enumerate(tokens):
        if token.kind in ("equals", "relation"):
            while result and result[-1].kind == "line":
                result.pop()
        elif token.kind == "line" and result:
            single = [each.kind for each in tokens[position : position + 2]] != ["line", "line"]
            if result[-1].kind in ("equals", "relation") or (single and result[-1].kind == "operator"):
                continue
        result.append(token)
    return result
