//! From what a manifest says about its tasks, and what the checkpoints' configs say, to how logits are read. Pure.
//!
//! A label nobody understands, a label order that contradicts the config, a head with too few or too many logits: all
//! refused here, with the name of the task.

use super::config::EncoderConfig;
use super::labels;
use super::manifest::{HeadSpec, Kind, TaskSpec};
use groundswell_core::score::EMOTIONS;
use serde::Serialize;

/// P(positive) this near to one half is neutral, where a model knows no neutral.
const BAND: f64 = 0.25;
const TOXIC_ABOVE: f64 = 0.7;
const SARCASTIC_ABOVE: f64 = 0.6;

/// How the logits of all tasks are read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tasks {
    /// Classes: [negative, neutral, positive](labels::SENTIMENTS).
    pub sentiment: Choice,
    /// Toxic or not.
    pub toxicity: Option<Flag>,
    /// Sarcastic or not.
    pub sarcasm: Option<Flag>,
    /// Classes: [`EMOTIONS`].
    pub emotion: Option<Choice>,
}

/// One class out of several.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// How logits become probabilities.
    pub kind: Kind,
    /// The class of each logit. Probabilities of logits of one class are added up.
    pub classes: Vec<usize>,
    /// Logits are divided by this.
    pub temperature: f64,
    /// For a sentiment without neutral: how far from one half P(positive) is neutral.
    pub band: Option<f64>,
}

/// Yes or no.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flag {
    /// How logits become probabilities.
    pub kind: Kind,
    /// Logits.
    pub outputs: usize,
    /// Those that mean yes.
    pub yes: Vec<usize>,
    /// Logits are divided by this.
    pub temperature: f64,
    /// The flag is set strictly above this probability.
    pub cutoff: f64,
}

/// What is known of a task's head when its task is read.
pub(super) struct Answerer<'a> {
    /// `sentiment` and so on.
    pub task: &'static str,
    /// What the manifest says.
    pub spec: &'a TaskSpec,
    /// Which head it is.
    pub head: &'a HeadSpec,
    /// Its encoder.
    pub config: &'a EncoderConfig,
}

impl Answerer<'_> {
    /// The checkpoint's names for the logits, if this is its own classifier and somebody named them.
    fn configured(&self) -> Option<&[String]> {
        let own = *self.head == HeadSpec::Classifier && !self.config.labels.is_empty();
        own.then_some(self.config.labels.as_slice())
    }

    fn labels(&self) -> Option<&[String]> {
        let named = |labels: &&[String]| !labels.iter().all(|label| labels::says_nothing(label));
        self.spec.labels.as_deref().or(self.configured().filter(named))
    }

    fn kind(&self) -> Option<Kind> {
        let multi = self.config.multi_label && *self.head == HeadSpec::Classifier;
        self.spec.kind.or(multi.then_some(Kind::Sigmoid))
    }

    fn temperature(&self) -> f64 {
        self.spec.temperature.unwrap_or(1.0)
    }

    /// The task as a choice among classes, of which `class` knows the names.
    pub(super) fn choice(
        &self,
        class: impl Fn(&str) -> Option<usize>,
        known: &[&str],
        example: &str,
    ) -> Result<Choice, String> {
        let Self { task, .. } = self;
        let Some(labels) = self.labels() else {
            let what = match self.configured() {
                Some(labels) => format!("the labels are {}, which say nothing", labels.join(", ")),
                None => format!("nothing says what the logits of tasks.{task} mean"),
            };
            return Err(format!(
                "{what}; write `tasks: {{{task}: {{labels: [{example}]}}}}` in model.yaml, in the order of the logits"
            ));
        };
        let classes = labels.iter().map(|label| {
            let unknown = || {
                let known = known.join(", ");
                format!("tasks.{task}.labels has \"{label}\"; known are {known}, and names for them")
            };
            class(label).ok_or_else(unknown)
        });
        let classes: Vec<usize> = classes.collect::<Result<_, _>>()?;
        if classes.is_empty() {
            return Err(format!("tasks.{task}.labels is empty"));
        }
        self.check_order(&classes, &class, known)?;
        Ok(Choice {
            kind: self.kind().unwrap_or(Kind::Softmax),
            classes,
            temperature: self.temperature(),
            band: None,
        })
    }

    /// Compares with the checkpoint's own names, where it has some that are understood.
    fn check_order<T: PartialEq + Copy + Into<usize>>(
        &self,
        read: &[T],
        class: impl Fn(&str) -> Option<T>,
        known: &[&str],
    ) -> Result<(), String> {
        let Some(configured) = self.configured() else {
            return Ok(());
        };
        let Self { task, .. } = self;
        if configured.len() != read.len() {
            return Err(format!(
                "tasks.{task}.labels has {} labels, the classifier {} ({})",
                read.len(),
                configured.len(),
                configured.join(", ")
            ));
        }
        for (n, (mine, label)) in read.iter().zip(configured).enumerate() {
            if class(label).is_some_and(|theirs| theirs != *mine) {
                let mine = known.get((*mine).into()).copied().unwrap_or_default();
                return Err(format!(
                    "tasks.{task}.labels says that logit {n} is {mine}, the checkpoint's config.json that it is \
                     \"{label}\"; correct the wrong one"
                ));
            }
        }
        Ok(())
    }

    fn flag(&self, cutoff: f64) -> Result<Flag, String> {
        let Self { task, .. } = self;
        let labels = self.labels();
        let outputs = labels.or(self.configured()).map_or(1, <[String]>::len);
        let name = |yes: &Option<Vec<String>>| yes.as_ref().map(|names| names.join(", "));
        let yes: Vec<usize> = match (&self.spec.yes, labels) {
            (Some(wanted), Some(labels)) => {
                let place = |label: &String| {
                    let unknown = || format!("tasks.{task}.yes has \"{label}\"; the labels are {}", labels.join(", "));
                    labels.iter().position(|l| l == label).ok_or_else(unknown)
                };
                wanted.iter().map(place).collect::<Result<_, _>>()?
            }
            (None, _) if outputs == 1 => vec![0],
            (None, Some(labels)) if labels.iter().all(|l| labels::flag(l).is_some()) => (0..outputs)
                .filter(|n| labels.get(*n).and_then(|l| labels::flag(l)) == Some(true))
                .collect(),
            (None, Some(labels)) => {
                return Err(format!(
                    "which of {} mean yes? Write `tasks: {{{task}: {{yes: [...]}}}}` in model.yaml",
                    labels.join(", ")
                ));
            }
            (yes, None) => {
                let said = name(yes).map_or(String::new(), |yes| format!(" (yes: {yes})"));
                return Err(format!(
                    "nothing says what the {outputs} logits of tasks.{task} mean{said}; write \
                     `tasks: {{{task}: {{labels: [no, yes]}}}}` in model.yaml, in the order of the logits"
                ));
            }
        };
        if yes.is_empty() {
            return Err(format!(
                "none of the labels of tasks.{task} means yes; name those that do in `yes`"
            ));
        }
        let mine: Vec<bool> = (0..outputs).map(|n| yes.contains(&n)).collect();
        self.check_order(&mine, labels::flag, &["no", "yes"])?;
        let one = if outputs == 1 { Kind::Sigmoid } else { Kind::Softmax };
        let kind = self.kind().unwrap_or(one);
        if outputs == 1 && kind == Kind::Softmax {
            return Err(format!("tasks.{task} has one logit; its kind is sigmoid, not softmax"));
        }
        Ok(Flag {
            kind,
            outputs,
            yes,
            temperature: self.temperature(),
            cutoff: self.spec.cutoff.unwrap_or(cutoff),
        })
    }

    fn sentiment(&self) -> Result<Choice, String> {
        let example = match self.configured().map(<[String]>::len) {
            Some(2) => "negative, positive",
            _ => "negative, neutral, positive",
        };
        let choice = self.choice(labels::sentiment, &labels::SENTIMENTS, example)?;
        let has = |class| choice.classes.contains(&class);
        if !has(0) || !has(2) {
            return Err("tasks.sentiment.labels must have negative and positive, in the order of the logits".into());
        }
        if choice.kind == Kind::Sigmoid {
            return Err("tasks.sentiment.kind is sigmoid; a sentiment is one out of its labels".into());
        }
        let band = match (has(1), self.spec.neutral_band) {
            (true, Some(_)) => {
                return Err("tasks.sentiment.neutral_band is for models without neutral; this one has it".into());
            }
            (true, None) => None,
            (false, band) => Some(band.unwrap_or(BAND)),
        };
        Ok(Choice { band, ..choice })
    }
}

/// All tasks, from what answers them.
pub(super) fn resolve(answerers: &[Answerer<'_>]) -> Result<Tasks, String> {
    let of = |task: &str| answerers.iter().find(|a| a.task == task);
    let sentiment = of("sentiment").ok_or("a model needs tasks.sentiment")?;
    let emotion_example = EMOTIONS.join(", ");
    Ok(Tasks {
        sentiment: sentiment.sentiment()?,
        toxicity: of("toxicity").map(|a| a.flag(TOXIC_ABOVE)).transpose()?,
        sarcasm: of("sarcasm").map(|a| a.flag(SARCASTIC_ABOVE)).transpose()?,
        emotion: of("emotion")
            .map(|a| a.choice(labels::emotion, &EMOTIONS, &emotion_example))
            .transpose()?,
    })
}

impl Tasks {
    /// How many logits a task has.
    pub(super) fn outputs(&self, task: &str) -> usize {
        let flag = |flag: &Option<Flag>| flag.as_ref().map_or(0, |f| f.outputs);
        match task {
            "sentiment" => self.sentiment.classes.len(),
            "toxicity" => flag(&self.toxicity),
            "sarcasm" => flag(&self.sarcasm),
            _ => self.emotion.as_ref().map_or(0, |c| c.classes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn config(labels: &[&str], more: &str) -> EncoderConfig {
        let map: Vec<String> = labels
            .iter()
            .enumerate()
            .map(|(n, l)| format!("\"{n}\":\"{l}\""))
            .collect();
        let json = format!(
            r#"{{"model_type":"bert","hidden_act":"gelu","hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,
            "intermediate_size":16,"layer_norm_eps":1e-12,"max_position_embeddings":32,"vocab_size":20,
            "type_vocab_size":2,"id2label":{{{}}}{more}}}"#,
            map.join(",")
        );
        EncoderConfig::parse(json.as_bytes(), Path::new("config.json")).expect("good")
    }

    fn strings(labels: &[&str]) -> Option<Vec<String>> {
        Some(labels.iter().map(|&l| l.to_owned()).collect())
    }

    fn sentiment(named: &[&str], spec: TaskSpec) -> Result<Choice, String> {
        let head = HeadSpec::Classifier;
        let answerer = Answerer {
            task: "sentiment",
            spec: &spec,
            head: &head,
            config: &config(named, ""),
        };
        answerer.sentiment()
    }

    fn labelled(labels: &[&str]) -> TaskSpec {
        TaskSpec {
            labels: strings(labels),
            ..TaskSpec::default()
        }
    }

    fn toxicity(named: &[&str], spec: &TaskSpec, more: &str) -> Result<Flag, String> {
        let head = HeadSpec::Classifier;
        let config = config(named, more);
        let answerer = Answerer {
            task: "toxicity",
            spec,
            head: &head,
            config: &config,
        };
        answerer.flag(TOXIC_ABOVE)
    }

    #[test]
    fn names_of_the_checkpoint_are_enough() {
        let read = sentiment(&["POSITIVE", "neutral", "NEG"], TaskSpec::default()).expect("named");
        assert_eq!((read.classes, read.band), (vec![2, 1, 0], None));
        let binary = sentiment(&["NEGATIVE", "POSITIVE"], TaskSpec::default()).expect("named");
        assert_eq!((binary.classes, binary.band), (vec![0, 2], Some(BAND)));
        let stars = ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"];
        assert_eq!(
            sentiment(&stars, TaskSpec::default()).expect("named").classes,
            [0, 0, 1, 2, 2]
        );
    }

    #[test]
    fn labels_that_say_nothing_must_be_named_and_names_must_not_contradict() {
        let unnamed = ["LABEL_0", "LABEL_1", "LABEL_2"];
        let said = sentiment(&unnamed, TaskSpec::default()).expect_err("refused");
        assert!(
            said.contains("LABEL_0, LABEL_1, LABEL_2, which say nothing")
                && said.contains("{labels: [negative, neutral, positive]}"),
            "{said}"
        );
        let named = sentiment(&unnamed, labelled(&["positive", "neutral", "negative"])).expect("named");
        assert_eq!(named.classes, [2, 1, 0]);
        for (config, labels, why) in [
            (
                ["negative", "neutral", "positive"],
                &["positive", "neutral", "negative"][..],
                "says that logit 0 is positive, the checkpoint's config.json that it is \"negative\"",
            ),
            (unnamed, &["negative", "positive"], "has 2 labels, the classifier 3"),
            (
                unnamed,
                &["negative", "neutral", "meh"],
                "has \"meh\"; known are negative",
            ),
            (
                unnamed,
                &["negative", "neutral", "neutral"],
                "must have negative and positive",
            ),
        ] {
            let said = sentiment(&config, labelled(labels)).expect_err("refused");
            assert!(said.contains(why), "{said}");
        }
        let band = TaskSpec {
            neutral_band: Some(0.1),
            ..TaskSpec::default()
        };
        let said = sentiment(&["neg", "neu", "pos"], band).expect_err("refused");
        assert!(said.contains("for models without neutral"), "{said}");
    }

    #[test]
    fn yes_is_found_by_name_or_by_the_manifest() {
        let plain = TaskSpec::default();
        let read = toxicity(&["non-offensive", "offensive"], &plain, "").expect("named");
        assert_eq!((read.kind, read.outputs, read.yes), (Kind::Softmax, 2, vec![1]));
        let multi = r#","problem_type":"multi_label_classification""#;
        let spec = TaskSpec {
            yes: strings(&["toxic", "insult"]),
            ..TaskSpec::default()
        };
        let read = toxicity(&["toxic", "threat", "insult"], &spec, multi).expect("named");
        assert_eq!((read.kind, read.yes), (Kind::Sigmoid, vec![0, 2]));
        assert_eq!(toxicity(&["LABEL_0"], &plain, "").expect("one").kind, Kind::Sigmoid);

        for (config, spec, why) in [
            (
                &["toxic", "threat"][..],
                plain.clone(),
                "which of toxic, threat mean yes?",
            ),
            (
                &["LABEL_0", "LABEL_1"],
                plain,
                "nothing says what the 2 logits of tasks.toxicity mean",
            ),
            (
                &["toxic", "threat"],
                TaskSpec {
                    yes: strings(&["rude"]),
                    ..TaskSpec::default()
                },
                "has \"rude\"",
            ),
            (
                &["neutral", "hate"],
                labelled(&["yes", "no"]),
                "says that logit 0 is yes",
            ),
        ] {
            let said = toxicity(config, &spec, "").expect_err("refused");
            assert!(said.contains(why), "{said}");
        }
    }
}
