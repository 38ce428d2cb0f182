//! A Postgres server.
