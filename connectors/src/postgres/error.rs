//! What can go wrong with a database, told apart by what a person has to do about it.
//!
//! Pure: a driver's error in, one of ours out.

use std::fmt::Write as _;
use std::time::Duration;
use tokio_postgres::error::{DbError, SqlState};

/// Why a Postgres sink cannot start or go on. Every message says what to do; [`PostgresError::is_retriable`] says whether
/// waiting may help.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The URL cannot be used.
    #[error("the sink's url cannot be used: {0}")]
    Url(String),
    /// Certificates or keys cannot be used.
    #[error("TLS to {server} cannot be set up: {why}")]
    Tls {
        /// The server.
        server: String,
        /// Why, and what to do.
        why: String,
    },
    /// Nobody answers there.
    #[error("cannot reach Postgres at {server}: {why}; check that it runs and that the url's host and port are right")]
    Unreachable {
        /// The server.
        server: String,
        /// Why.
        why: String,
    },
    /// The server does not let us in.
    #[error(
        "Postgres at {server} refuses the connection: {why}; check user, password, database and sslmode in the url"
    )]
    Refused {
        /// The server.
        server: String,
        /// Why.
        why: String,
    },
    /// The connection broke, or the server went down.
    #[error("the connection to Postgres at {server} was lost: {why}; nothing of the tick is lost, it is tried again")]
    Lost {
        /// The server.
        server: String,
        /// Why.
        why: String,
    },
    /// The server is there and does not answer.
    #[error("Postgres at {server} did not answer within {after:?}; nothing of the tick is lost, it is tried again")]
    Silent {
        /// The server.
        server: String,
        /// How long we waited.
        after: Duration,
    },
    /// The server takes no writes.
    #[error(
        "Postgres at {server} is read-only ({why}): it is a standby, or its default_transaction_read_only is on; point the \
         url at the primary (several hosts with target_session_attrs=read-write find it)"
    )]
    ReadOnly {
        /// The server.
        server: String,
        /// What it said.
        why: String,
    },
    /// No space, memory or connections.
    #[error("Postgres at {server} is out of resources: {why}; free disk space or raise its limits")]
    Full {
        /// The server.
        server: String,
        /// What it said.
        why: String,
    },
    /// A right is missing.
    #[error("Postgres at {server} denies it: {why}; {hint}")]
    Denied {
        /// The server.
        server: String,
        /// What it said.
        why: String,
        /// Which right to grant.
        hint: String,
    },
    /// Somebody holds a lock too long.
    #[error(
        "Postgres at {server}: {why}; somebody holds a lock on the sink's tables (pg_stat_activity and pg_locks show who)"
    )]
    Locked {
        /// The server.
        server: String,
        /// What it said.
        why: String,
    },
    /// A transaction collided with another one.
    #[error("Postgres at {server} undid the transaction: {why}; it is tried again")]
    Collided {
        /// The server.
        server: String,
        /// What it said.
        why: String,
    },
    /// Another process writes as this sink.
    #[error(
        "another process has taken over the sink \"{sink}\" in schema \"{schema}\": this one holds epoch {mine}, the database \
         has {found}; stop this process (or give one of the two pipelines another name)"
    )]
    Fenced {
        /// The sink.
        sink: String,
        /// The schema.
        schema: String,
        /// The epoch this process took.
        mine: i64,
        /// The epoch there is now; "none" if the sink's row is gone.
        found: String,
    },
    /// The sink stands where the tick already is, with the right epoch.
    #[error(
        "the sink \"{sink}\" in schema \"{schema}\" stands at tick {upper}, and was asked to commit tick {tick} after it; \
         somebody changed {schema}._progress by hand: restart the engine"
    )]
    Progress {
        /// The sink.
        sink: String,
        /// The schema.
        schema: String,
        /// What the database says.
        upper: i64,
        /// What was to be written.
        tick: i64,
    },
    /// A table is not as the engine made it.
    #[error(transparent)]
    Altered(Box<Altered>),
    /// A table that is nobody's to rebuild is gone.
    #[error(
        "table \"{schema}\".\"{table}\" is gone: restore it, or delete its row from \"{schema}\"._tables to begin an empty one"
    )]
    Gone {
        /// The schema.
        schema: String,
        /// The table.
        table: String,
    },
    /// The schema or a table in it is somebody else's.
    #[error(
        "{what} in the database {server} was not made by groundswell: rename it, or give the pipeline another name"
    )]
    Foreign {
        /// The server.
        server: String,
        /// Which.
        what: String,
    },
    /// Another sink of the pipeline writes that table.
    #[error(
        "table \"{schema}\".\"{table}\" belongs to the sink \"{owner}\"; list under `views` what each sink writes, switch \
         `alerts` and `dead_letters` off in one of them, or (if \"{owner}\" is no more) drop the table"
    )]
    Owned {
        /// The schema.
        schema: String,
        /// The table.
        table: String,
        /// The other sink.
        owner: String,
    },
    /// The schema was made by a newer version.
    #[error(
        "schema \"{schema}\" has layout version {found}, and this build knows up to {known}: run the newer groundswell that \
         wrote it, or give the pipeline another name"
    )]
    Newer {
        /// The schema.
        schema: String,
        /// Its version.
        found: i32,
        /// Ours.
        known: i32,
    },
    /// The schema was made by a version too old to migrate.
    #[error(
        "schema \"{schema}\" has layout version {found}, and this build can bring up to date only from {oldest}: migrate it \
         with an older groundswell first, or drop the schema to have the views built again"
    )]
    TooOld {
        /// The schema.
        schema: String,
        /// Its version.
        found: i32,
        /// The oldest that can be migrated.
        oldest: i32,
    },
    /// The server is too old.
    #[error("Postgres at {server} is version {found}; the sink needs 14 or newer")]
    Server {
        /// The server.
        server: String,
        /// Its version.
        found: String,
    },
    /// Something that cannot be stored as it is.
    #[error("{0}")]
    Value(String),
    /// Any other statement that failed.
    #[error(
        "Postgres at {server} refuses a statement: {why}; if nobody changed the schema \"{schema}\", this is a bug"
    )]
    Statement {
        /// The server.
        server: String,
        /// The schema.
        schema: String,
        /// What it said.
        why: String,
    },
}

/// How a table differs from what the engine made.
#[derive(Debug, thiserror::Error)]
#[error(
    "table \"{schema}\".\"{table}\" was altered: {what} should be {expected}, and is {found}; undo the change, or drop the \
     table{rebuilt}"
)]
pub struct Altered {
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// Which column, or the primary key.
    pub what: String,
    /// As it was created.
    pub expected: String,
    /// As it is.
    pub found: String,
    /// What happens when it is dropped.
    pub rebuilt: &'static str,
}

impl PostgresError {
    /// Whether waiting may help; otherwise somebody has to do something first.
    pub fn is_retriable(&self) -> bool {
        use PostgresError::*;
        matches!(
            self,
            Unreachable { .. }
                | Lost { .. }
                | Silent { .. }
                | ReadOnly { .. }
                | Full { .. }
                | Locked { .. }
                | Collided { .. }
        )
    }
}

/// Where errors come from.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// `host:port/database`, without credentials.
    pub(super) server: String,
    pub(super) schema: String,
}

impl Place {
    /// An error while connecting.
    pub(super) fn connecting(&self, error: &tokio_postgres::Error) -> PostgresError {
        match error.as_db_error() {
            Some(db) => match self.of_state(db) {
                PostgresError::Statement { .. } | PostgresError::Denied { .. } => self.refused(db),
                other => other,
            },
            None => {
                let why = chain(error);
                let server = self.server.clone();
                match why.contains("TLS") || why.contains("certificate") {
                    true => PostgresError::Tls { server, why },
                    false if why.contains("authentication") || why.contains("password missing") => {
                        PostgresError::Refused { server, why }
                    }
                    false => PostgresError::Unreachable { server, why },
                }
            }
        }
    }

    /// An error of a statement.
    pub(super) fn statement(&self, error: &tokio_postgres::Error) -> PostgresError {
        match error.as_db_error() {
            Some(db) => self.of_state(db),
            None if error.is_closed() || source_is_io(error) => self.lost(chain(error)),
            None => PostgresError::Statement {
                server: self.server.clone(),
                schema: self.schema.clone(),
                why: chain(error),
            },
        }
    }

    fn lost(&self, why: String) -> PostgresError {
        PostgresError::Lost {
            server: self.server.clone(),
            why,
        }
    }

    fn refused(&self, db: &DbError) -> PostgresError {
        PostgresError::Refused {
            server: self.server.clone(),
            why: said(db),
        }
    }

    fn of_state(&self, db: &DbError) -> PostgresError {
        let (server, why) = (self.server.clone(), said(db));
        let state = db.code();
        let code = state.code();
        if *state == SqlState::READ_ONLY_SQL_TRANSACTION {
            PostgresError::ReadOnly { server, why }
        } else if *state == SqlState::INSUFFICIENT_PRIVILEGE {
            let hint = format!(
                "grant the role create on the database (or on schema \"{0}\", once it is there), and let it own the tables in \
                 \"{0}\"",
                self.schema
            );
            PostgresError::Denied { server, why, hint }
        } else if code.starts_with("53") || *state == SqlState::IO_ERROR {
            PostgresError::Full { server, why }
        } else if code.starts_with("08")
            || code.starts_with("57P")
            || *state == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        {
            self.lost(why)
        } else if *state == SqlState::LOCK_NOT_AVAILABLE || *state == SqlState::QUERY_CANCELED {
            PostgresError::Locked { server, why }
        } else if code.starts_with("40") {
            PostgresError::Collided { server, why }
        } else if code.starts_with("28") || *state == SqlState::INVALID_CATALOG_NAME {
            self.refused(db)
        } else {
            let schema = self.schema.clone();
            PostgresError::Statement { server, schema, why }
        }
    }
}

/// What the server said, without the statement's values.
fn said(db: &DbError) -> String {
    let mut text = format!("{} (SQLSTATE {})", db.message(), db.code().code());
    if let Some(hint) = db.hint() {
        let _ = write!(text, ", hint: {hint}");
    }
    text
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        next = cause.source();
    }
    text
}

fn source_is_io(error: &tokio_postgres::Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if cause.is::<std::io::Error>() {
            return true;
        }
        next = cause.source();
    }
    false
}
