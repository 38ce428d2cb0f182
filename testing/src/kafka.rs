//! A one-node Apache Kafka broker (KRaft).
