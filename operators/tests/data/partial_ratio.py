"""Writes partial_ratio.tsv: rows (text, name, ratio) computed by RapidFuzz (pip install rapidfuzz), seed 7.

    python3 partial_ratio.py > partial_ratio.tsv
"""

import random
import sys

import rapidfuzz
from rapidfuzz import fuzz

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 600
random.seed(7)
NAMES = """lebron james|kyrie irving|kevin love|tristan thompson|j.r. smith|matthew dellavedova|stephen curry|klay thompson
draymond green|andre iguodala|bitcoin|ethereum|johnson & johnson|berkshire hathaway|daenerys targaryen|jaime lannister
the hound|zoë kravitz|beyoncé|大谷翔平|ελένη|parvati shallow|boston rob""".replace("\n", "|").split("|")
WORDS = """the game was so good tonight lebrun jamse kevlin luv stef curri thomson i cant believe that kyrei irvine shot
iggy blocked draymon gren is suspended bitcion ethereal berkshire heathaway denerys targarian jamie lanister beyonce
zoe kravits of and to you he she they hound""".split()


def typo(s):
    chars = list(s)
    for _ in range(random.randint(0, 4)):
        at = random.randrange(len(chars) + 1)
        kind = random.random()
        if kind < 0.4:
            chars.insert(at, random.choice("abcdefghijklmnopqrstuvwxyz é"))
        elif at < len(chars):
            if kind < 0.7:
                chars.pop(at)
            else:
                chars[at] = random.choice("abcdefghijklmnopqrstuvwxyz")
    return "".join(chars)


def words(most):
    return " ".join(random.choice(WORDS) for _ in range(random.randint(0, most)))


def letters(alphabet, most):
    return "".join(random.choice(alphabet) for _ in range(random.randint(1, most)))


def pair():
    kind = random.random()
    name = random.choice(NAMES)
    if kind < 0.45:
        return f"{words(12)} {typo(name)} {words(12)}".strip(), name
    if kind < 0.6:
        return words(30), name
    if kind < 0.7:
        return typo(name), name
    if kind < 0.8:
        return name[random.randrange(len(name)) :], name
    if kind < 0.95:
        return letters("abc ", 40).strip(), letters("abc", 20)
    return letters("abcd", 220), letters("abcd", 150)


print(f"# text, name, partial ratio; RapidFuzz {rapidfuzz.__version__}, seed 7")
for _ in range(ROWS):
    text, name = pair()
    if text and name:
        print(f"{text}\t{name}\t{fuzz.partial_ratio(text, name):.6f}")
