"""Words by which a sentence says what its values are."""


def _split(words: str) -> frozenset[str]:
    return frozenset(words.split())


LABELS = _split("""
    step case part question example figure equation problem exercise method way line lemma theorem section
    chapter page table note solution approach attempt eq fig round shard row
""")
"""Words before a number that is no value: step 2."""

CHANGING_WORDS = _split("""
    hundred thousand million billion trillion dozen percent percentage degrees degree square cubic squared
    cubed thirds halves quarters fifths tenths am pm a.m p.m times fold increase decrease profit loss below above per
""")
"""Words that change the value before them, or the unit that follows them; they are taken with the word behind them."""

NO_UNITS = _split("""
    a an the in on at by for of to from with without and or but so if when where which that who whose because
    since as is are was were be been than then there here it they he she we you this these those each every
    only also still not no different distinct possible such more less fewer total positive negative real
    integer altogether respectively now together left remaining overall after before during until out into
    over under between among divided multiplied plus minus would will can must may should has have had
    do does did given satisfying using via while giving making modulo mod base all both either neither unique valid
    exactly about approximately around however therefore thus hence i.e. e.g. i.e e.g etc what how why let its
    his her their our your my whereas unless instead rather choose
""")
"""Words behind a number that are no unit of it."""

COPULAS = _split("""
    is are was were be been equals equal = : get gets gives give yields yield obtain obtains becomes become
    makes make has have had costs cost takes take took needs need needed earns earn earned pays pay paid
    spends spend spent saves save saved requires require contains contain ⇒ → => therefore thus hence so
    totals totaled totalled reaches remains est ist lautet es being lasts
""")
"""Words and signs after which the value that a sentence states comes."""

ADVERBS = _split("""
    exactly approximately about around roughly only just therefore thus also now then a an the total of simply
    precisely indeed hence clearly both at least most number value answer equal to
""")
"""Words that may stand between a copula and its value."""

PREPOSITIONS = _split("""
    of for in at by with from to than after per every on between among out into over under through until
    within without during before modulo mod times multiplied divided plus arrange choosing using
""")

SUBORDINATES = _split("""
    which where when whenever if because since whose while although unless such as assuming whereas who unlike
    despite
""")
"""Words that begin a part of a sentence that does not state its value."""

CHANGING_BEFORE = _split("twice double triple almost nearly below under most least within percent")
CHANGING_WITH_OF = _split("half third quarter root square cube logarithm factor sum product difference ratio")
"""Words between a verb and a number that make another value of it: almost 5, half of 5, the product of 5 and 7."""

CONTINUING = _split("""
    plus minus times divided multiplied by choose mod modulo to the power out more less fewer greater than base
    raised
""")
CONTINUING_WITHOUT_UNIT = _split("of in over from per")
"""Words between two numbers that make one value of them: 5 plus 7, 5 more than 7, 5 in 7; not 5 dollars in 7 days."""

DOUBTS = _split("otherwise maybe perhaps possibly alternatively")
"""Words of a sentence that leaves its value open."""

REJECTIONS = _split("extraneous invalid impossible wrong incorrect rejected excluded discarded inadmissible")
REJECTED_ROLES = _split("solution solutions root roots valid possible allowed acceptable answer")
"""Words behind "is", and behind "is not", by which a sentence denies the value before it."""

NEGATIONS = _split("not instead rather cannot never neither nor не ни нет")

MULTIPLES = (
    "раз",
    "тысяч",
    "тыс",
    "млн",
    "млрд",
    "миллион",
    "миллиард",
    "дюжин",
    "сот",
    "倍",
    "万",
    "亿",
    "千",
    "百",
    "成",
    "折",
    "打",
)
"""How words begin that multiply the number before them."""

SIGN_WORDS = frozenset({"negative", "minus"})

SHORT_UNITS = _split("""
    m cm mm km g kg mg l ml L mL lb lbs oz ft in yd mi h hr hrs min s sec ms kph mph am pm AM PM usd USD eur EUR
    W kW J kJ Hz kHz N kN V A C F K GB MB KB TB Pa mol day cup men BC AD ton
""")
"""Units of up to three letters; other words as short would be read as products of letters."""
