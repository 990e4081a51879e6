"""Chapters of dev-clean, in the order of LoadGen's sample indices."""

UTTERANCES = 2703
"""In all chapters, those that are too long included."""
COUNTED = {2703: 2513}
"""By the utterances of the whole set: those of up to 15 s, which are the samples."""

_ORDER = """
2277: 149896 149897 149874; 2035: 147960 152373 147961; 2086: 149214 149220; 7976: 110124 105575 110523; 1988:
147956 148538 24833; 777: 126732; 84: 121123 121550; 1673: 143396 143397; 8297: 275156 275154 275155; 5536:
43358 43359 43363; 6345: 93302 93306 64257; 6295: 244435 64301; 6313: 66125 76958 66129; 5338: 284437 24615
24640; 6319: 57405 64726 275224; 1993: 147965 147964 147149 147966; 2078: 142845; 1272: 128104 135031 141231;
174: 50561 84280 168635; 2803: 161169 154320 154328; 7850: 73752 111771 286674 281318; 2902: 9006 9008; 3752:
4943 4944; 3081: 166546; 1462: 170138 170145 170142; 251: 136532 137823 118436; 2428: 83705 83699; 3170:
137482; 3000: 15664; 5895: 34629 34622 34615; 5694: 64029 64025 64038; 2412: 153954 153948 153947; 3536: 8226
23268; 3576: 138058; 6241: 66616 61946 61943; 652: 130726 130737 129742; 422: 122949; 8842: 304647 302196
302201 302203; 1919: 142785; 3853: 163249
"""
# The shipped manifest has the order in which somebody's disk gave them; inside a chapter utterances are in order.


def _chapters() -> tuple[str, ...]:
    speakers = (line.split(": ") for line in " ".join(_ORDER.split()).split("; "))
    return tuple(f"{speaker}/{chapter}" for speaker, chapters in speakers for chapter in chapters.split())


OFFICIAL = _chapters()
"""As `speaker/chapter`. Source: mlcommons/inference, speech_recognition/rnnt/dev-clean-wav.json."""


def miscounted(utterances: int, counted: int) -> list[str]:
    """What to say if *utterances* are the whole of dev-clean, and *counted* are not those that are samples of it."""
    expected = COUNTED.get(utterances, counted)
    what = f"{counted} of the {utterances} utterances have up to 15 s, where dev-clean has {expected} such"
    return [what] if counted != expected else []
