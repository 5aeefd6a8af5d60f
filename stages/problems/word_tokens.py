"""Words of a mathematical text, for telling whether two texts differ in more than their formatting."""

import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]+|\d+|[-+*/=<>^!|%]")
_LAYOUT = frozenset(
    [
        *("left", "right", "big", "bigl", "bigr", "displaystyle", "quad", "qquad", "begin", "end", "align", "aligned"),
        *("text", "textbf", "textit", "mathrm", "mathbf", "mathbb", "mathit", "mathcal", "operatorname", "boldsymbol"),
        *("cdot", "times"),  # one author writes 2 \times 3, another 2 \cdot 3
    ]
)
"""LaTeX commands that change how a text looks and not what it says."""
_SYNONYMS = {"dfrac": "frac", "tfrac": "frac", "leq": "le", "geq": "ge", "leqslant": "le", "geqslant": "ge", "−": "-"}


def tokenize_words(text: str, operators: bool = True) -> list[str]:
    """Words, numbers and (if `operators`) operators of `text`, folded in case, width and LaTeX layout."""
    tokens = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return [
        _SYNONYMS.get(token, token) for token in tokens if token not in _LAYOUT and (operators or token[0].isalnum())
    ]
