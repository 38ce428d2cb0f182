"""Training rows that no data set has, against three faults seen on ordinary text.

Identity: without help, merely naming a group counts as toxic, because the data sets mostly name
groups in insults.
Mood: for the like reason naming a group reads as bad news. Neutral sentences alone taught that
short sentences are neutral, so some bring good or bad news of the same groups, and others praise
or blame nobody's group.
Background: the sarcasm sets are half sarcastic and lack plain statements, which then came out
as sarcastic.

What card.py measures with (its sentences, praise and blame) is in none of these rows.
"""

from data import LABELS, Row

WORDS = """gay lesbian bisexual transgender queer straight Black white African Arab Mexican
Hispanic Indian Chinese Jewish Muslim Hindu Buddhist Catholic atheist immigrant refugee disabled
deaf blind autistic female old young Turkish""".split()

SENTENCES = """My best friend is {}.
He told us that he is {}.
She is {} and she teaches maths at our school.
The {} community met at the library on Friday.
They interviewed a {} author on the radio.
As a {} man I can relate to this character.
As a {} woman I have voted in every election.
Is the new coach {}?
The film follows a {} couple in the nineties.
I did not know that the singer was {}.
There is a {} doctor at the clinic now.
Most of the players on that team are {}.
The survey asked {} people about housing.
{} voters turned out in large numbers.
A report on how {} families find work
I grew up in a {} household.
Any book tips with a {} main character?
@user both of my parents are {}
We need more {} engineers, so apply by May.
Two {} students won the science prize this year!
My {} colleagues invited me for dinner, lovely evening.
Our {} neighbours brought us a cake, how sweet.
Happy to see more {} actors on screen!
the {} guy at the shop fixed my phone in ten minutes, thank you""".split("\n")

GROUPS = """gay; lesbian; bisexual; trans; transgender; queer; straight; Black; white; African;
Nigerian; Arab; Palestinian; Israeli; Turkish; Mexican; Hispanic; Latino; Puerto Rican; Indian;
Pakistani; Chinese; Vietnamese; Filipino; Native American; Aboriginal; Polish; Irish; Russian;
Ukrainian; American; Jewish; Muslim; Hindu; Buddhist; Catholic; Mormon; atheist; immigrant; refugee;
disabled; deaf; blind; autistic; diabetic; fat; short; female; male; old; young; middle-aged;
homeless; poor; rich""".replace("\n", " ").split("; ")

NEUTRAL = """My best friend is {}.
My cousin is {}.
He told us that he is {}.
I am {}.
We are {} and live in Leeds.
She is {} and she teaches maths at our school.
The {} community met at the library on Friday.
They interviewed a {} author on the radio.
As a {} man I can relate to this character.
As a {} woman I have voted in every election.
Is the new coach {}?
The film follows a {} couple in the nineties.
I did not know that the singer was {}.
There is a {} doctor at the clinic now.
Most of the players on that team are {}.
The survey asked {} people about housing.
{} voters turned out in large numbers.
A report on how {} families find work
I grew up in a {} household.
Any book tips with a {} main character?
@user both of my parents are {}
@user you know she is {} right?
That guy is {} I think
Two of my coworkers are {}.
some {} guy sat next to me on the bus""".split("\n")

GOOD = """We need more {} engineers, so glad that two applied!
Two {} students won the science prize this year!
My {} colleagues invited me for dinner, lovely evening.
Our {} neighbours brought us a cake, how sweet.
Happy to see more {} actors on screen!
the {} guy at the shop fixed my phone in ten minutes, thank you
Proud to be {}!
I love my {} friends so much""".split("\n")

BAD = """My {} colleague had an awful week, the flat burnt down.
A {} boy was killed in the crash last night.
I am sick of how they treat {} people here.
Sad news, our {} bus driver died on Sunday.
the {} guy at the shop lied to me, never again""".split("\n")

PRAISE = """friendly helpful amazing charming clever warm patient delightful fantastic polite
honest adorable excellent cheerful talented good""".split()
BLAME = """nasty dishonest lazy annoying arrogant disgusting boring hateful greedy dreadful mean
pathetic stupid evil grumpy bad""".split()
JUDGED = """The new waiter is {}.
She is a {} teacher.
What a {} film.
My dentist is {}.
A {} couple runs the hotel.
I am {}.
We had a {} guide in Rome.
Both of my flatmates are {}.""".split("\n")

BACKGROUND_FROM = ("sentiment", "emotion_goemotions_ekman")
BACKGROUND_STEP = 12


def _fill(sentences, words):
    return [sentence.format(word) for word in words for sentence in sentences]


def identity() -> list[Row]:
    """Harmless sentences of our own that name a group, as not toxic."""
    texts = _fill(SENTENCES, WORDS)
    return [Row("toxicity", "identity", text, (1.0, 0.0)) for text in texts]


def mood() -> list[Row]:
    """Sentences of our own that name a group or judge somebody, with the mood they have."""
    moods = {
        "neutral": _fill(NEUTRAL, GROUPS),
        "positive": _fill(GOOD, GROUPS) + _fill(JUDGED, PRAISE),
        "negative": _fill(BAD, GROUPS) + _fill(JUDGED, BLAME),
    }
    return [
        Row("sentiment", "mood", text, tuple(float(label == m) for label in LABELS["sentiment"]))
        for m, texts in moods.items()
        for text in texts
    ]


def background(train: list[Row]) -> list[Row]:
    """Every twelfth general post, presumed not sarcastic (a few will be)."""
    general = [row for row in train if row.source in BACKGROUND_FROM]
    return [
        Row("sarcasm", "background", row.text, (1.0, 0.0)) for row in general[::BACKGROUND_STEP]
    ]
