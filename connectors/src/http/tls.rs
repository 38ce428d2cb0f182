//! TLS for the port: a certificate chain and its key, read again when their files change.
//!
//! A pair that cannot be used replaces nothing: the server goes on with what it has and says so in the log. Connections keep
//! the certificate they began with.

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at, while connections come.
const LOOK: Duration = Duration::from_secs(5);

/// Where certificate and key are (PEM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the {what} in {}: {problem}", file.display())]
    File {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        problem: String,
    },
    /// They do not go together, or are of a kind that is not supported.
    #[error("the certificate in {} and the key in {} cannot be used: {problem}", files.certificate.display(), files.key.display())]
    Pair {
        /// The files.
        files: TlsFiles,
        /// Why.
        problem: String,
    },
}

/// Accepts TLS connections with the newest good pair.
pub(super) struct Acceptor {
    files: TlsFiles,
    state: Mutex<State>,
}

struct State {
    config: Arc<ServerConfig>,
    stamp: [Option<SystemTime>; 2],
    looked: Instant,
}

impl Acceptor {
    pub(super) fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let stamp = stamp(&files);
        let config = load(&files)?;
        let state = State {
            config,
            stamp,
            looked: Instant::now(),
        };
        Ok(Acceptor {
            files,
            state: Mutex::new(state),
        })
    }

    /// What the next connection is accepted with.
    pub(super) fn current(&self) -> TlsAcceptor {
        let mut state = self.state.lock();
        if state.looked.elapsed() >= LOOK {
            self.look(&mut state);
        }
        TlsAcceptor::from(Arc::clone(&state.config))
    }

    fn look(&self, state: &mut State) {
        state.looked = Instant::now();
        let now = stamp(&self.files);
        if now == state.stamp {
            return;
        }
        // A pair is replaced file by file: half of it does not fit, and is looked at again.
        match load(&self.files) {
            Ok(config) => {
                tracing::info!(certificate = %self.files.certificate.display(), "a new certificate is used from now on");
                (state.config, state.stamp) = (config, now);
            }
            Err(error) => tracing::warn!(%error, "going on with the certificate from before"),
        }
    }
}

fn stamp(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    let modified = |file: &Path| std::fs::metadata(file).and_then(|m| m.modified()).ok();
    [modified(&files.certificate), modified(&files.key)]
}

fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |what, file: &Path, problem: &dyn std::fmt::Display| TlsError::File {
        what,
        file: file.to_owned(),
        problem: problem.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|e| unreadable("certificate", &files.certificate, &e))?;
    if chain.is_empty() {
        return Err(unreadable("certificate", &files.certificate, &"there is none in it"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| unreadable("key", &files.key, &e))?;
    let unusable = |e: rustls::Error| TlsError::Pair {
        files: files.clone(),
        problem: e.to_string(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
