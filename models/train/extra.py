"""Training rows that no data set has, against two faults seen on ordinary text.

Identity: without help, merely naming a group counts as toxic, because the data sets mostly name
groups in insults. (The same rows as neutral sentiment were tried and dropped: many short
sentences of plain praise or blame then came out neutral, hence the controls of card.py.)
Background: the sarcasm sets are half sarcastic and lack plain statements, which then came out
as sarcastic.
"""

from data import Row

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

BACKGROUND_FROM = ("sentiment", "emotion_goemotions_ekman")
BACKGROUND_STEP = 12


def identity() -> list[Row]:
    """Harmless sentences of our own that name a group, as not toxic."""
    texts = [sentence.format(word) for word in WORDS for sentence in SENTENCES]
    return [Row("toxicity", "identity", text, (1.0, 0.0)) for text in texts]


def background(train: list[Row]) -> list[Row]:
    """Every twelfth general post, presumed not sarcastic (a few will be)."""
    general = [row for row in train if row.source in BACKGROUND_FROM]
    return [
        Row("sarcasm", "background", row.text, (1.0, 0.0)) for row in general[::BACKGROUND_STEP]
    ]
