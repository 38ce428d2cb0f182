//! Topics that are made where they are missing, and checked where they are not.

use super::client::{self, Cluster, Reporter};
use super::error::KafkaError;
use groundswell_core::source::StopFlag;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the cluster may take to make a topic.
const MAKING: Duration = Duration::from_secs(15);

/// A topic as a sink wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub name: String,
    /// `None`: as many as the brokers give by default.
    pub partitions: Option<i32>,
    /// Settings it is made with.
    pub config: BTreeMap<String, String>,
}

/// Makes sure that a topic is there.
///
/// # Errors
/// If it is missing and may not or cannot be made, or nobody answers.
pub(super) fn ensure(
    cluster: &Cluster,
    consumer: &BaseConsumer<Reporter>,
    wanted: &Wanted,
    create: bool,
) -> Result<(), KafkaError> {
    // Who answers at all is found out by the client that can say why nobody does.
    let there = |propagation| {
        let found = client::look(cluster, consumer, &wanted.name, &StopFlag::default(), propagation);
        found.map(|_| ())
    };
    match there(if create { Duration::ZERO } else { client::PROPAGATION }) {
        Err(KafkaError::MissingTopic { .. }) if create => {}
        other => {
            other?;
            check_policy(cluster, wanted);
            return Ok(());
        }
    }
    let mut topic = NewTopic::new(
        &wanted.name,
        wanted.partitions.unwrap_or(-1),
        TopicReplication::Fixed(-1),
    );
    for (name, value) in &wanted.config {
        topic = topic.set(name, value);
    }
    let doing = || format!("create topic \"{}\"", wanted.name);
    let options = options();
    let made = futures::executor::block_on(admin(cluster)?.create_topics([&topic], &options));
    let made = made.map_err(|e| KafkaError::failed(doing(), &e))?;
    for result in made {
        match result {
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((_, Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)) => {
                return Err(KafkaError::Rights {
                    doing: "create",
                    on: format!("topic \"{}\"", wanted.name),
                });
            }
            Err((_, code)) => return Err(KafkaError::failed(doing(), &ClientError::AdminOp(code))),
        }
    }
    tracing::info!(topic = wanted.name, "created a topic");
    there(MAKING)
}

fn admin(cluster: &Cluster) -> Result<AdminClient<Reporter>, KafkaError> {
    let reporter = Reporter::new("admin");
    cluster
        .config(&[], &[])
        .create_with_context(reporter)
        .map_err(|e| cluster.refused("make an admin client", &e))
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(MAKING))
        .operation_timeout(Some(MAKING))
}

/// Says so if a topic that somebody made keeps its records in another way than the sink needs.
fn check_policy(cluster: &Cluster, wanted: &Wanted) {
    let Some(policy) = wanted.config.get(POLICY) else {
        return;
    };
    let Ok(admin) = admin(cluster) else { return };
    let options = options();
    let resource = ResourceSpecifier::Topic(&wanted.name);
    let asked = admin.describe_configs([&resource], &options);
    // Not being allowed to look is no reason to stop.
    let Ok(answers) = futures::executor::block_on(asked) else {
        return;
    };
    let found = answers.into_iter().flatten().next();
    let found = found.and_then(|c| c.get(POLICY).and_then(|entry| entry.value.clone()));
    if let Some(found) = found.filter(|found| !found.split(',').any(|p| p == policy)) {
        let topic = wanted.name.as_str();
        tracing::warn!(
            topic,
            found,
            wanted = policy,
            "cleanup.policy of a topic is not what its records are made for"
        );
    }
}

/// The setting that decides what happens to old records.
pub(super) const POLICY: &str = "cleanup.policy";
