//! What can be wrong between us and a registry, and what to do next.

/// Why a registry cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Nobody answers, or only with an error of its own.
    #[error("the schema registry at {url} does not answer: {reason}")]
    Unreachable {
        /// As configured.
        url: String,
        /// What happened.
        reason: String,
    },
    /// No or wrong credentials.
    #[error("the schema registry at {url} {}", if *.given { "refuses the credentials" } else { "wants credentials" })]
    Credentials {
        /// As configured.
        url: String,
        /// Whether there were any.
        given: bool,
    },
    /// No trusted connection.
    #[error("no TLS connection to the schema registry at {url}: {reason}")]
    Tls {
        /// As configured.
        url: String,
        /// What rustls says.
        reason: String,
    },
    /// Something else answers.
    #[error("what answers at {url} is no schema registry: {reason}")]
    Foreign {
        /// As configured.
        url: String,
        /// Why we think so.
        reason: String,
    },
    /// It keeps other schemas.
    #[error("the schema registry at {url} keeps no {wanted} schemas, only {types}")]
    Without {
        /// As configured.
        url: String,
        /// What is needed.
        wanted: &'static str,
        /// What there is.
        types: String,
    },
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(String),
}

impl RegistryError {
    /// What to do next.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            RegistryError::Unreachable { .. } => "check `registry.url` and that it is up",
            RegistryError::Credentials { given: true, .. } => {
                "check `registry.username` and `registry.password`, and that they may read schemas"
            }
            RegistryError::Credentials { .. } => "set `registry.username` and `registry.password`",
            RegistryError::Tls { .. } => {
                "check that `registry.url` has the name in its certificate, and set `registry.ca` to its authority"
            }
            RegistryError::Foreign { .. } => {
                "check `registry.url`: it is what comes before /schemas/ids/1, on Apicurio http://HOST:PORT/apis/ccompat/v7"
            }
            RegistryError::Without { .. } => "check `registry.url` and the source's `format`",
            RegistryError::Config(_) => return None,
        })
    }

    /// The error with what to do next.
    pub fn with_hint(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{self} ({hint})"),
            None => self.to_string(),
        }
    }

    /// Whether nobody answered, so that trying again later may help.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, RegistryError::Unreachable { .. })
    }
}
