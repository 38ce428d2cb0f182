//! From a URL to a connection: what the URL says, TLS as its `sslmode` asks, and the settings of every session.
//!
//! In: `postgres://user:password@host:port/database?sslmode=…`, as libpq reads it. Out: a connected [`Client`], its
//! connection running on the current Tokio runtime. Beyond what the driver reads, `sslmode` may be `verify-ca` or
//! `verify-full`, and `sslrootcert` (a file, or `system`), `sslcert` and `sslkey` are honoured.

use super::error::{Place, PostgresError};
use super::tls::{self, Mode};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A server that has not noticed that we are gone gives up our transaction after this.
const ABANDONED: Duration = Duration::from_secs(60);
/// Longest wait for somebody else's lock.
pub(super) const LOCK: Duration = Duration::from_secs(20);

/// How to connect.
#[derive(Clone)]
pub(super) struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    pub(super) place: Place,
}

impl Target {
    /// Reads the URL and the certificates it names.
    pub(super) fn new(url: &str, schema: &str, sink: &str, connect: Duration) -> Result<Self, PostgresError> {
        let parsed = Url::parse(url)?;
        let mut config: Config = parsed
            .rest
            .parse()
            .map_err(|e| PostgresError::Url(without_secrets(&e)))?;
        config.ssl_mode(match parsed.tls.mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        });
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(PostgresError::Url("it names no host".to_owned()));
        }
        if config.get_user().is_none() {
            return Err(PostgresError::Url("it names no user".to_owned()));
        }
        config.connect_timeout(connect);
        config.keepalives_idle(Duration::from_secs(30));
        config.keepalives_interval(Duration::from_secs(10));
        config.application_name(format!("groundswell {schema}/{sink}"));
        // What a role or database sets by default must not change what a commit means or how values read.
        let options = format!(
            "{} -c synchronous_commit=on -c timezone=UTC -c search_path=pg_catalog -c client_min_messages=warning -c jit=off \
             -c idle_in_transaction_session_timeout={} -c lock_timeout={} -c tcp_keepalives_idle=30 \
             -c tcp_keepalives_interval=10",
            config.get_options().unwrap_or_default(),
            ABANDONED.as_millis(),
            LOCK.as_millis(),
        );
        config.options(options);
        let place = Place {
            server: describe(&config),
            schema: schema.to_owned(),
        };
        let tls = match parsed.tls.mode {
            Mode::Disable => None,
            _ => Some(tls::connector(&parsed.tls).map_err(|why| PostgresError::Tls {
                server: place.server.clone(),
                why,
            })?),
        };
        Ok(Target { config, tls, place })
    }

    /// Connects; the connection runs as a task of the current runtime.
    pub(super) async fn connect(&self) -> Result<Connected, PostgresError> {
        let failed = |e: tokio_postgres::Error| self.place.connecting(&e);
        match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(failed)?;
                Ok(Connected::new(client, connection))
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await.map_err(failed)?;
                Ok(Connected::new(client, connection))
            }
        }
    }
}

/// A connection; dropping it closes the socket as soon as the runtime runs again, which ends its transaction on the server.
pub(super) struct Connected {
    client: Client,
    connection: tokio::task::AbortHandle,
}

impl Connected {
    fn new<F>(client: Client, connection: F) -> Self
    where
        F: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    {
        // Whoever waits for an answer on a connection hears of its failure; nobody needs to hear of it from here.
        let task = tokio::spawn(async {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to Postgres ended");
            }
        });
        Connected {
            client,
            connection: task.abort_handle(),
        }
    }
}

impl Deref for Connected {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Connected {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// A URL with its TLS settings set apart.
struct Url {
    rest: String,
    tls: tls::Settings,
}

impl Url {
    fn parse(url: &str) -> Result<Self, PostgresError> {
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            let message = "it does not begin with postgres://, as in postgres://user:password@host:5432/database";
            return Err(PostgresError::Url(message.to_owned()));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut tls = tls::Settings::default();
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (key, raw) = pair.split_once('=').unwrap_or((pair, ""));
            let value = || {
                percent_encoding::percent_decode_str(raw)
                    .decode_utf8()
                    .map(std::borrow::Cow::into_owned)
                    .map_err(|_| PostgresError::Url(format!("the value of {key} is not UTF-8")))
            };
            match key {
                "sslmode" => tls.mode = Mode::parse(&value()?).map_err(PostgresError::Url)?,
                "sslrootcert" => tls.roots = Some(PathBuf::from(value()?)),
                "sslcert" => tls.certificate = Some(PathBuf::from(value()?)),
                "sslkey" => tls.key = Some(PathBuf::from(value()?)),
                _ => kept.push(pair),
            }
        }
        let mark = if kept.is_empty() { "" } else { "?" };
        Ok(Url {
            rest: format!("{base}{mark}{}", kept.join("&")),
            tls,
        })
    }
}

/// Where a URL leads, without user and password.
fn describe(config: &Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let ports = config.get_ports();
    let with_ports: Vec<String> = hosts
        .enumerate()
        .map(|(i, host)| {
            let port = ports.get(i).or(ports.first()).copied().unwrap_or(5432);
            format!("{host}:{port}")
        })
        .collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("{}/{database}", with_ports.join(","))
}

/// A parse error of the driver; its cause names the part that is wrong, never the password.
fn without_secrets(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    cause.unwrap_or_else(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, PostgresError> {
        Target::new(url, "live", "pg", Duration::from_secs(1))
    }

    #[test]
    fn a_description_shows_no_credentials() {
        let target = target("postgres://me:hush@db.example:6432/app?sslmode=disable&connect_timeout=3").expect("good");
        assert_eq!(target.place.server, "db.example:6432/app");
        assert_eq!(target.config.get_ssl_mode(), SslMode::Disable);
        assert!(
            target
                .config
                .get_options()
                .is_some_and(|o| o.contains("synchronous_commit=on"))
        );
    }

    #[test]
    fn modes_of_libpq_are_understood() {
        for mode in ["prefer", "require", "verify-full", "verify-ca"] {
            let root = if mode.starts_with("verify") {
                "&sslrootcert=system"
            } else {
                ""
            };
            match target(&format!("postgres://me@h/db?sslmode={mode}{root}")) {
                Ok(target) => assert!(target.tls.is_some(), "{mode}"),
                // A machine without certificates of its own.
                Err(error) => assert!(
                    matches!(error, PostgresError::Tls { .. }) && !root.is_empty(),
                    "{error}"
                ),
            }
        }
    }

    #[test]
    fn mistakes_are_named_without_the_password() {
        for (url, word) in [
            ("mysql://me:hush@h/db", "postgres://"),
            ("postgres://me:hush@h/db?sslmode=sometimes", "sometimes"),
            ("postgres://me:hush@h:port/db", "port"),
            ("postgres://me:hush@h/db?colour=red", "colour"),
            ("postgres:///db", "host"),
            ("postgres://h/db", "user"),
            (
                "postgres://me:hush@h/db?sslrootcert=/nowhere/at/all.pem&sslmode=verify-full",
                "/nowhere/at/all.pem",
            ),
        ] {
            let error = target(url).err().expect(url).to_string();
            assert!(error.contains(word) && !error.contains("hush"), "{url}: {error}");
        }
    }
}
