//! Ports and `server.properties` of a one-node broker.

use super::USERS;
use crate::port;
use std::fmt::Write;
use std::path::Path;

/// The ports a broker listens on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    plain: u16,
    sasl: u16,
    controller: u16,
}

impl Ports {
    /// Three that nobody has.
    pub fn free() -> std::io::Result<Ports> {
        Ok(Ports {
            plain: port::free()?.port(),
            sasl: port::free()?.port(),
            controller: port::free()?.port(),
        })
    }

    pub fn plain(self) -> String {
        format!("127.0.0.1:{}", self.plain)
    }

    pub fn sasl(self) -> String {
        format!("127.0.0.1:{}", self.sasl)
    }

    /// The broker's configuration: one node that is broker and controller, with one replica and small internal topics, that
    /// removes nothing for its age: tests write records of any age.
    pub fn properties(self, folder: &Path) -> String {
        let (plain, sasl, controller) = (self.plain(), self.sasl(), format!("127.0.0.1:{}", self.controller));
        let data = folder.join("data");
        let mut users = String::new();
        for (name, password) in USERS {
            let _ = write!(users, " user_{name}=\"{password}\"");
        }
        format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@{controller}\n\
             listeners=PLAINTEXT://{plain},SASL_PLAINTEXT://{sasl},CONTROLLER://{controller}\n\
             advertised.listeners=PLAINTEXT://{plain},SASL_PLAINTEXT://{sasl}\n\
             controller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=PLAINTEXT\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\n\
             listener.name.sasl_plaintext.plain.sasl.jaas.config=\
             org.apache.kafka.common.security.plain.PlainLoginModule required{users};\n\
             listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:ANONYMOUS;User:admin;User:scram\n\
             log.dirs={data}\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=1\n\
             share.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n\
             broker.session.timeout.ms=2000\n\
             broker.heartbeat.interval.ms=500\n\
             auto.create.topics.enable=false\n\
             num.network.threads=2\n\
             num.io.threads=4\n\
             log.cleaner.dedupe.buffer.size=16777216\n\
             log.retention.ms=-1\n\
             log.retention.check.interval.ms=1000\n\
             log.segment.delete.delay.ms=100\n",
            data = data.display()
        )
    }
}
