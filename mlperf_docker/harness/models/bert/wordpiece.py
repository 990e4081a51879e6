"""BERT's uncased tokenisation: text to words and punctuation, and these to the pieces of a vocabulary.

Written out instead of taken from the `tokenizers` package, for two reasons. That package carries Unicode tables of its
own, which are older than Python's: of characters that came later it says otherwise than the reference, which asks
Python. And scoring needs the first half anyway, on its own. As every word is cut only once, this is no slower.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cached_property

PAD, UNKNOWN, START, SEPARATOR, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL = (PAD, UNKNOWN, START, SEPARATOR, MASK)
LONGEST_WORD = 100
"""Characters of a word that is still looked up; a longer one is unknown."""

_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")
_WHITESPACE = frozenset("\t\n\r")
_REPLACEMENT = "\ufffd"
_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
_ASCII_PUNCTUATION = frozenset(r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~""")


class _Table(dict[int, str | None]):
    """A table for str.translate that asks *rule* about each character once. None takes a character out."""

    def __init__(self, rule: Callable[[str], str | None]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, code: int) -> str | None:
        self[code] = self._rule(chr(code))
        return self[code]


def _cleaned(char: str) -> str | None:
    """Blanks for what is one, ideographs set apart, control characters (also unassigned and private ones) taken out."""
    category = unicodedata.category(char)
    if char in _WHITESPACE or category == "Zs":
        return " "
    if char in ("\0", _REPLACEMENT) or category.startswith("C"):
        return None
    return f" {char} " if any(low <= ord(char) <= high for low, high in _IDEOGRAPHS) else char


def _separated(char: str) -> str | None:
    """Punctuation set apart, and accents taken out."""
    category = unicodedata.category(char)
    if category == "Mn":
        return None
    return f" {char} " if char in _ASCII_PUNCTUATION or category.startswith("P") else char


_CLEAN, _SEPARATE = _Table(_cleaned), _Table(_separated)


def basic_words(text: str) -> list[str]:
    """Words and punctuation marks of *text* in lower case and without accents.

    Source: NVIDIA/DeepLearningExamples, TensorFlow/LanguageModeling/BERT/tokenization.py, BasicTokenizer.
    """
    # Lower case before accents: the accents of some capitals appear only when these are made small.
    return unicodedata.normalize("NFD", text.translate(_CLEAN).lower()).translate(_SEPARATE).split()


class Vocabulary:
    """Pieces with their numbers: the lines of a vocab.txt. *tokens* holds all of `SPECIAL`."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.size = len(tokens)
        self.numbers = {token: number for number, token in enumerate(tokens)}
        self._cut: dict[str, tuple[int, ...]] = {}

    @cached_property
    def tokens(self) -> dict[int, str]:
        """The piece of each number; of a line that stands there twice only the last number is used."""
        return {number: token for token, number in self.numbers.items()}

    def pieces(self, text: str) -> tuple[int, ...]:
        """Numbers of the pieces of *text*, as HuggingFace's (slow) BertTokenizer gives them; looked up once.

        A special token that stands in the text literally is that token, wherever it stands.
        """
        found = self._cut.get(text)
        if found is None:
            found = self._cut[text] = tuple(self._pieces(text))
        return found

    def _pieces(self, text: str) -> list[int]:
        found: list[int] = []
        for part in _SPECIAL.split(text) if "[" in text else (text,):
            if part in SPECIAL:
                found.append(self.numbers[part])
                continue
            # The reference makes letters small one by one, so that a sigma at the end of a word becomes no final one.
            for word in basic_words(part.replace("\u03a3", "\u03c3")):
                found += self._of_word(word)
        return found

    def _of_word(self, word: str) -> list[int]:
        """The longest pieces from the left, or "unknown" for the whole word where they do not cover it."""
        if len(word) > LONGEST_WORD:
            return [self.numbers[UNKNOWN]]
        found, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                number = self.numbers.get(prefix + word[start:end])
                if number is not None:
                    break
            else:
                return [self.numbers[UNKNOWN]]
            found.append(number)
            start = end
        return found
