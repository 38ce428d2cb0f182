"""Texts of our own on which the engine must agree with the reference scorer."""

import json

TEXTS = [
    "I love this show, best finale I have seen in years!",
    "Worst update ever. The app crashes every single time I open it.",
    "The store opens at nine and closes at five on weekdays.",
    "Oh great, another Monday with no coffee. Exactly what I needed.",
    "You are a complete idiot and nobody wants you here.",
    "@someone thanks for the quick help yesterday, you saved my weekend 🙏",
    "RT @newsdesk: Rates held steady for a third month https://example.org/rates #economy",
    "😂😂😂",
    "ngl that was kinda mid but the ending slapped 🔥 10/10 would cry again 😭",
    "",
    " ",
    ".",
    "[deleted]",
    "ok",
    "I'm so scared about the results tomorrow, I can't sleep.",
    "Wait, WHAT? They traded him at halftime?! I did not see that coming.",
    "We buried our dog today. The house feels empty without her.",
    "Das war ein wunderbarer Abend, vielen Dank an alle!",
    "El servicio fue terrible y nadie contestó mis mensajes.",
    "この映画は本当に面白かったです。",
    "Сегодня отличная погода, идём гулять.",
    "Fees: 0.25% → 0.15%; TVL $1,204,332.07 (+3.2%)\tsee §4.1 & <b>notes</b>\nnext line",
    "They promised a fix in March, then in April, then in June. "
    + "Every time the same letter, every time the same apology, and still the lift is broken. " * 12
    + "At least the stairs keep me fit.",
    "a" * 400,
]


def write(folder, bundle):
    """Saves fixtures.json: for each text the fp32 probabilities of all tasks (binary: of yes)."""
    tasks = bundle.manifest["tasks"]
    columns = {
        task: probs[:, 1].tolist() if tasks[task]["kind"] == "sigmoid" else probs.tolist()
        for task, probs in bundle.probabilities(TEXTS).items()
    }
    rows = [
        {"text": text} | {task: column[number] for task, column in columns.items()}
        for number, text in enumerate(TEXTS)
    ]
    lines = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "fixtures.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
