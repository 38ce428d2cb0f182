//! A few texts that go through a model once when it is loaded in 8 bits, to learn how far the inputs of its products reach.
//!
//! They are ours and fixed: the same folder gives the same model everywhere. What is learnt is rounded to powers of two, so
//! that the last bits of a machine's floats do not matter.

/// Posts, plain prose, numbers, shouting, symbols and other languages.
pub(super) const TEXTS: [&str; 20] = [
    "I love this show, best finale I have seen in years!",
    "Worst update ever. The app crashes every single time I open it.",
    "The store opens at nine and closes at five on weekdays.",
    "Oh great, another Monday with no coffee. Exactly what I needed.",
    "You are a complete idiot and nobody wants you here.",
    "@someone thanks for the quick help yesterday, you saved my weekend 🙏",
    "RT @newsdesk: Rates held steady for a third month https://example.org/rates #economy",
    "ngl that was kinda mid but the ending slapped 🔥 10/10 would cry again 😭",
    "ok",
    "I'm so scared about the results tomorrow, I can't sleep.",
    "WAIT, WHAT?! They traded him at halftime... I DID NOT see that coming!!!",
    "We buried our dog today. The house feels empty without her.",
    "Fees: 0.25% → 0.15%; TVL $1,204,332.07 (+3.2%), see §4.1 & <b>notes</b>",
    "Why would anyone pay 40 dollars for this? The refund took six weeks, and nobody answered.",
    "The committee, which met on Tuesday for the first time since the spring, has agreed to put the question of the new \
     bridge to the people of both towns; a vote is expected before the end of the year.",
    "Das war ein wunderbarer Abend, vielen Dank an alle!",
    "El servicio fue terrible y nadie contestó mis mensajes.",
    "Сегодня отличная погода, идём гулять.",
    "この映画は本当に面白かったです。",
    "كانت الرحلة طويلة لكنها جميلة.",
];
