"""Sentences that say nothing about the problem: "Let's solve this step by step.", "I hope it is correct."."""

import re

_MAX_CHARS = 600
_REST = r"[^.!?\d$\\=]"
_OPENING = re.compile(
    r"(?!(?:let|here|to|solv|we|so)[^.!?\n]*\b(?:to|by|and|can|will|must) (?:first )?"
    r"(?:find|determin|calculat|identif|figur|comput|count|us(?:e|ing)\b))"
    r"(?:(?:ok(?:ay)?|sure|alright|all right|well|great|hmm+|right|certainly|of course|so)\b[,.!: ]*)?"
    r"(?:let(?:'s|’s|s| us| me) (?:now |first )?"
    rf"(?:see|think|solve|begin|start|go|break|work|tackle|proceed|do|approach)\b{_REST}{{0,120}}"
    rf"|here(?:'s|’s| is| are) (?:the|my|a|an|how|one|our)\b{_REST}{{0,120}}"
    rf"|(?:to )?solv(?:e|ing) (?:this|the) (?:problem|question|equation|task)\b{_REST}{{0,60}}"
    rf"\b(?:steps?|follow|break|proceed)\b{_REST}{{0,60}}"
    rf"|we (?:can|will) (?:solve|proceed|break|follow|work)\b{_REST}{{0,120}}"
    rf"|this (?:example|problem|solution) (?:illustrates|demonstrates|shows) how {_REST}{{0,400}}"
    rf"(?:\.\s+this type of problem {_REST}{{0,200}})?"
    rf"|(?:i|we) hope {_REST}{{0,120}}|hope this helps|let me know [^.!?]{{0,120}}|step[- ]by[- ]step{_REST}{{0,80}}"
    r")?[.!:…]{0,3}",
    re.IGNORECASE,
)
"""A sentence that says nothing about the problem, and what may come before or in place of one: "Okay."."""


def is_opening(words: str) -> bool:
    """Whether `words`, without white space around them, say nothing about the problem."""
    return len(words) <= _MAX_CHARS and _OPENING.fullmatch(words) is not None
