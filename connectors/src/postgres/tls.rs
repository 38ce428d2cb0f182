//! TLS as libpq's `sslmode` defines it, with rustls.
//!
//! `require` encrypts and believes any server, `verify-ca` wants a certificate of a known authority, `verify-full` also the
//! right host name. As in libpq, `require` with `sslrootcert` is `verify-ca`.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How much is asked of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// No TLS.
    Disable,
    /// TLS if the server offers it, any certificate.
    #[default]
    Prefer,
    /// TLS, any certificate.
    Require,
    /// A certificate of a known authority.
    VerifyCa,
    /// And the right host name.
    VerifyFull,
}

impl Mode {
    pub(super) fn parse(word: &str) -> Result<Self, String> {
        Ok(match word {
            "disable" => Mode::Disable,
            "allow" | "prefer" => Mode::Prefer,
            "require" => Mode::Require,
            "verify-ca" => Mode::VerifyCa,
            "verify-full" => Mode::VerifyFull,
            _ => {
                let known = "disable, prefer, require, verify-ca and verify-full";
                return Err(format!("sslmode \"{word}\" is none of {known}"));
            }
        })
    }
}

/// What a URL says about TLS.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) mode: Mode,
    /// A PEM file of authorities, or `system`.
    pub(super) roots: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// Builds the connector; the error says which file is wrong.
pub(super) fn connector(settings: &Settings) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match (settings.mode, &settings.roots) {
        (Mode::Disable | Mode::Prefer, _) | (Mode::Require, None) => Arc::new(Anyone(Arc::clone(&provider))),
        (mode, roots) => {
            let store = Arc::new(authorities(roots.as_deref())?);
            let strict = WebPkiServerVerifier::builder_with_provider(store, Arc::clone(&provider)).build();
            let strict = strict.map_err(|e| format!("the authorities cannot be used: {e}"))?;
            if mode == Mode::VerifyFull {
                strict
            } else {
                Arc::new(AnyName(strict))
            }
        }
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match (&settings.certificate, &settings.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable("sslkey", key, &e))?;
            let config = builder.with_client_auth_cert(chain, secret);
            config.map_err(|e| format!("sslcert and sslkey do not go together: {e}"))?
        }
        _ => return Err("sslcert and sslkey are needed both or none".to_owned()),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn authorities(path: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match path {
        Some(file) if file != Path::new("system") => {
            for certificate in certificates(file)? {
                store
                    .add(certificate)
                    .map_err(|e| unreadable("sslrootcert", file, &e))?;
            }
        }
        _ => {
            let native = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(native.certs);
        }
    }
    if store.is_empty() {
        return Err("no certificate of any authority was found; name a PEM file with sslrootcert=PATH".to_owned());
    }
    Ok(store)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).map_err(|e| unreadable("certificates", file, &e))?;
    read.collect::<Result<_, _>>()
        .map_err(|e| unreadable("certificates", file, &e))
}

fn unreadable(what: &str, file: &Path, error: &dyn std::fmt::Display) -> String {
    format!("cannot read the {what} in {}: {error}", file.display())
}

/// Believes every certificate; checks only that the server has its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Wants a certificate of a known authority, under any name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(end, between, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
