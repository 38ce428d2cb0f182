//! What people say: sentences by tone, with `{e}` for whom they talk about, `{m}` for a moment of the show, `{s}` for a
//! song. Sentences without `{e}` are for posts that name nobody.

/// How a post is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Positive,
    Negative,
    Neutral,
    Sarcastic,
    Toxic,
}

impl Tone {
    /// Sentences about somebody.
    pub(super) fn about(self) -> &'static [&'static str] {
        match self {
            Tone::Positive => POSITIVE,
            Tone::Negative => NEGATIVE,
            Tone::Neutral => NEUTRAL,
            Tone::Sarcastic => SARCASTIC,
            Tone::Toxic => TOXIC,
        }
    }

    /// Sentences that name nobody: on the show, or on what a parent post talks about.
    pub(super) fn general(self) -> &'static [&'static str] {
        match self {
            Tone::Positive => GENERAL_POSITIVE,
            Tone::Negative => GENERAL_NEGATIVE,
            Tone::Neutral => GENERAL_NEUTRAL,
            Tone::Sarcastic => GENERAL_SARCASTIC,
            Tone::Toxic => GENERAL_TOXIC,
        }
    }

    /// Second sentences.
    pub(super) fn tails(self) -> &'static [&'static str] {
        match self {
            Tone::Positive => TAILS_POSITIVE,
            Tone::Negative | Tone::Toxic => TAILS_NEGATIVE,
            Tone::Neutral => TAILS_NEUTRAL,
            Tone::Sarcastic => TAILS_SARCASTIC,
        }
    }

    pub(super) fn emoji(self) -> &'static [&'static str] {
        match self {
            Tone::Positive => &["❤️", "🔥", "😍", "👏👏", "🎉", "✨", "😭❤️", "🙌"],
            Tone::Negative => &["😒", "👎", "😤", "🙄", "😞", "💀"],
            Tone::Neutral => &["🤔", "👀", "📺", "🎤"],
            Tone::Sarcastic => &["🙃", "😏", "🤡", "👌"],
            Tone::Toxic => &["🤮", "🗑️", "🤡", "🖕"],
        }
    }
}

pub(super) const OPENERS: &[&str] = &[
    "",
    "",
    "",
    "",
    "",
    "Ok but ",
    "Honestly, ",
    "Not gonna lie, ",
    "Hot take: ",
    "Just caught up and ",
    "Rewatching now: ",
    "My whole family agrees, ",
    "Unpopular opinion but ",
    "Say what you want, ",
    "I said it last week: ",
    "So, ",
    "Wow, ",
    "Yeah, ",
    "Look, ",
    "For the record, ",
];

pub(super) const MOMENTS: &[&str] = &[
    "the opening number",
    "the key change",
    "the second verse",
    "that bridge",
    "the final chorus",
    "the group dance",
    "the interview",
    "the duet",
    "the a cappella part",
    "the backstage clip",
    "the results show",
    "rehearsals",
    "the semi-final",
    "the costume change",
    "the acoustic set",
    "the wildcard round",
];

pub(super) const SONGS: &[&str] = &[
    "\"Paper Moon Avenue\"",
    "\"Halfway to Sunday\"",
    "\"Glass Orchard\"",
    "\"Run the Lanterns\"",
    "\"Cold Harbour\"",
    "\"Seventeen Doors\"",
    "\"Salt and Honey\"",
    "\"Borrowed Sky\"",
    "\"The Long Way Down\"",
    "\"Velvet Static\"",
];

const POSITIVE: &[&str] = &[
    "{e} was absolutely incredible in {m}.",
    "I have not stopped thinking about {e} singing {s}.",
    "{e} deserves to win this whole thing.",
    "What a performance by {e}, I had goosebumps.",
    "{e} just gets better every single week.",
    "Standing ovation in my living room for {e}.",
    "{m} belonged to {e}, no contest.",
    "So proud of {e} tonight, what a journey.",
    "{e} made me cry happy tears during {m}.",
    "That was the best version of {s} I have ever heard, thank you {e}.",
    "{e} is a star. Simple as that.",
    "Voted for {e} ten times and I would do it again.",
    "The control {e} showed in {m} was beautiful.",
    "{e} seems like such a kind person, I really love them.",
    "Everyone is sleeping on {e} and I do not get why, so talented.",
    "{e} turned {s} into something magical.",
    "I came for {e} and {e} delivered.",
    "Can we talk about how good {e} looked and sounded in {m}?",
    "{e} nailed it. Flawless.",
    "If {e} releases {s} as a single I am buying it.",
    "{e} has the best voice on this show by a mile.",
    "Loved every second of {e} tonight.",
    "The harmony between {e} and the band in {m} was perfect.",
    "{e} handled the criticism with so much grace.",
    "Happiest I have been watching TV in months, thanks {e}.",
    "{e} brought the house down with {s}!",
    "I am a fan of {e} now, officially converted.",
    "Great song choice by {e}, and great execution too.",
    "{e} was funny, warm and brilliant in {m}.",
    "My daughter wants to be {e} when she grows up and I love that.",
    "Brave choice by {e} to do {s}, and it paid off.",
    "{e} saved the episode for me.",
    "Best performance of the season goes to {e}.",
    "Respect to {e}, that was world class.",
    "{e} is growing on me so much, really enjoyed {m}.",
];

const NEGATIVE: &[&str] = &[
    "{e} was painfully off key during {m}.",
    "I am so disappointed in {e} tonight.",
    "{e} butchered {s} and I want those three minutes back.",
    "Not sure how {e} is still in the competition.",
    "{e} looked bored and sounded worse.",
    "{m} was a mess and {e} is to blame.",
    "That was the weakest thing {e} has done all season.",
    "{e} is overrated, there, I said it.",
    "Really did not enjoy {e} in {m}.",
    "{e} forgot the words again. Embarrassing.",
    "Cannot stand the way {e} talks to the others backstage.",
    "{e} ruined my favourite song. {s} deserved better.",
    "The judges were far too kind to {e}.",
    "{e} has no stage presence at all.",
    "Turned the TV off when {e} started {s}.",
    "{e} was rude in {m} and it was hard to watch.",
    "Flat, lifeless and boring. What happened to {e}?",
    "I used to like {e} but this week was awful.",
    "{e} is only there because of the sob story.",
    "Terrible song choice by {e}, terrible arrangement too.",
    "{e} should have gone home instead.",
    "Sorry, but {e} cannot hold a note in {m}.",
    "{e} threw the others under the bus, so disappointing.",
    "The worst part of the night was {e}, easily.",
    "Painful to watch {e} struggle through {s}.",
    "{e} keeps making excuses and I am tired of it.",
    "Hated {m}. {e} looked completely lost.",
    "{e} peaked in week one, it has been downhill since.",
    "I felt nothing during {e}'s performance. Nothing.",
    "{e} does not deserve a place in the final.",
    "Unfair that {e} got through after that disaster.",
];

const NEUTRAL: &[&str] = &[
    "{e} is performing {s} next.",
    "Does anyone know which song {e} is doing in {m}?",
    "{e} is in the bottom three this week according to the app.",
    "What time is {e} on tonight?",
    "{e} sang {s} in {m}, the clip is on the channel.",
    "Who do you think goes home, {e} or someone else?",
    "{e} goes third in the running order.",
    "Is {e} from the north or the south?",
    "They moved {e} to the second half of the show.",
    "{e} and the coach talked about {m} in the interview.",
    "Has {e} said anything about next week?",
    "{e} wore blue in {m}, red in the finale.",
    "Poll: did {e} do better or worse than last week?",
    "The odds for {e} moved from 5 to 6 today.",
    "{e} has 14 minutes of airtime so far this season.",
    "I missed {m}, what did {e} sing?",
    "{e} was on the radio this morning talking about the show.",
    "Running order is out: {e} opens, then a break.",
    "Here is the full video of {e} doing {s}.",
    "{e} signed with the same coach as last year's winner.",
    "Next up is {e} after the ads.",
    "Transcript of the {e} interview is in the comments.",
];

const SARCASTIC: &[&str] = &[
    "Oh great, {e} doing another ballad, exactly what we all needed.",
    "Sure, {e} totally remembered all the words this time.",
    "Wow, {e} hit almost three notes in {m}, a new record.",
    "Yes judges, {e} was \"flawless\". Did we watch the same {m}?",
    "Nothing says talent like {e} lip syncing {s}.",
    "Shocking, {e} cried again. Who could have seen that coming.",
    "I just love it when {e} explains art to the judges.",
    "Give {e} the trophy already, the producers clearly have.",
    "What a surprise, {e} saved by the judges for the fourth time.",
    "Thank you {e} for that lullaby, I slept great.",
    "{e} really redefined the word rehearsal in {m}.",
    "Ah yes, {e} with the famous one dance move.",
    "So brave of {e} to sing {s} in no particular key.",
    "Great job {e}, my dog left the room.",
];

const TOXIC: &[&str] = &[
    "{e} is a talentless clown, get off my screen.",
    "Shut up {e}, nobody wants to hear you, you pathetic hack.",
    "{e} is trash and so is everyone voting for this garbage.",
    "What an idiot {e} is, seriously, go home.",
    "{e} is such a fake loser it makes me sick.",
    "Only morons vote for {e}.",
    "{e} sounds like a dying goat, what a joke of a human.",
    "I cannot stand that smug idiot {e}.",
    "{e} is a disgusting liar and a terrible singer.",
    "Somebody take the damn mic away from that clown {e}.",
];

const GENERAL_POSITIVE: &[&str] = &[
    "This is the best episode of the season so far.",
    "I am so happy with tonight's results!",
    "Agreed, loved it.",
    "Same here, it gave me chills.",
    "The band is amazing tonight, what a sound.",
    "{m} was wonderful, more of that please.",
    "Exactly, could not have said it better.",
    "The staging this year is gorgeous.",
    "Finally a result I am glad about.",
    "{s} is such a beautiful song.",
    "You are so right, that was lovely.",
    "Great show, great crowd, great night.",
];

const GENERAL_NEGATIVE: &[&str] = &[
    "This season has been a real letdown.",
    "Too many ads, I am about to give up.",
    "The sound mix is horrible tonight.",
    "Nope, hard disagree, it was awful.",
    "{m} dragged on forever.",
    "Worst results show in years.",
    "Whoever designed this voting app should be ashamed.",
    "I am so annoyed with these judges.",
    "That was a boring hour of television.",
    "Please stop ruining {s}, I beg you.",
    "It made me sad to watch, honestly.",
    "The vote is rigged and everyone knows it.",
];

const GENERAL_NEUTRAL: &[&str] = &[
    "What time does the show start?",
    "Which channel is this on?",
    "Live thread for tonight's episode.",
    "Is there a stream outside the country?",
    "They said {m} starts after the break.",
    "Source?",
    "When does voting close?",
    "First ad break at 20:14.",
    "The original of {s} is from 1987.",
    "Which week is this now, five or six?",
    "Here is the link to the full set list.",
    "Can somebody post the results here?",
];

const GENERAL_SARCASTIC: &[&str] = &[
    "Great, another ad break, I was worried I might see some singing.",
    "Oh good, a recap of the thing we saw four minutes ago.",
    "Totally unbiased judging, as always.",
    "Yeah sure, and the moon is made of cheese.",
    "I love paying to vote on an app that crashes.",
    "Fantastic camera work, I have always wanted to see the ceiling.",
];

const GENERAL_TOXIC: &[&str] = &[
    "You are an idiot and your taste is garbage.",
    "Shut up, nobody asked you, clown.",
    "This comment section is full of morons.",
    "Everyone who likes this show is brain dead.",
];

const TAILS_POSITIVE: &[&str] = &[
    "Cannot wait for next week.",
    "Top three for sure.",
    "More of this please.",
    "I am still smiling.",
    "Give that performance an award.",
    "The crowd went wild.",
    "Absolute joy.",
    "Love love love.",
    "That is how you do it.",
    "10/10.",
];

const TAILS_NEGATIVE: &[&str] = &[
    "What a waste of a slot.",
    "I am done with this show.",
    "Do better.",
    "Such a shame.",
    "Bring back the old format.",
    "Zero out of ten.",
    "Embarrassing for everyone involved.",
    "I want my evening back.",
    "Just no.",
    "It hurt my ears.",
];

const TAILS_NEUTRAL: &[&str] = &[
    "Asking for a friend.",
    "Times are in UTC.",
    "Link below.",
    "Will update when I know more.",
    "Thanks in advance.",
    "Correct me if I am wrong.",
    "See the pinned post.",
    "That is all the app says.",
];

const TAILS_SARCASTIC: &[&str] = &[
    "Groundbreaking.",
    "Truly inspiring stuff.",
    "I am sure that was the plan.",
    "Ten out of ten, no notes.",
    "Somebody call the Grammys.",
    "Riveting television.",
];

/// What a brigade pastes, over and over.
pub(super) const BRIGADE: &[&str] = &[
    "{e} is a fraud and the worst contestant this show has ever had, vote them out",
    "{e} cheated in {m}, disgusting and shameful, do not vote for this liar",
    "Everybody is sick of {e}, awful voice, awful attitude, send them home now",
    "{e} is the most overrated and annoying act in history, terrible, just terrible",
];

/// How the copies differ.
pub(super) const BRIGADE_ENDINGS: &[&str] = &[
    "",
    "!",
    "!!",
    "!!!",
    ".",
    " 👎",
    " 🤮",
    " smh",
    " #voteout",
    " NOW",
    "...",
    " 🤡",
];

/// What people add when they edit.
pub(super) const EDITS: &[&str] = &[
    "EDIT: typo.",
    "EDIT: ok, I calmed down, it was not that bad.",
    "EDIT: rewatched it and I take it back, it was awful.",
    "EDIT: thanks for the kind replies, you are lovely!",
    "EDIT: wrong week, sorry.",
    "EDIT: source added.",
];
