//! The HTTP client for the few services that are asked from threads of our own: schema registries and key sets.

use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// A client that believes these authorities, or the system's, and hands on every status as an answer.
pub(crate) fn agent(timeout: Duration, authorities: Option<Vec<Certificate<'static>>>) -> Agent {
    let roots = authorities.unwrap_or_else(of_the_system);
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(timeout));
    config.tls_config(tls).build().into()
}

fn of_the_system() -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs().certs;
    found.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
}
