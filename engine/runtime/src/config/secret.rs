//! References in values (`${NAME}`, `${NAME:-default}`, `file:PATH`) and what must never be shown.
//!
//! Pure but for [`Secret::read`], which opens the file that a `file:` reference names.

use std::fmt;
use std::path::Path;

/// Shown in place of a secret.
const MASK: &str = "***";

/// A password, token or URL with credentials. It prints as `***`; only [`Secret::expose`] gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret that is known already.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The value of a secret field: `file:PATH` is read (relative to `base`, one trailing line break dropped), anything
    /// else is the secret itself.
    ///
    /// # Errors
    /// If the file cannot be read or is empty; the message names the file, never its content.
    pub fn read(text: &str, base: &Path) -> Result<Self, String> {
        let Some(path) = text.strip_prefix("file:") else {
            return Ok(Secret(text.to_owned()));
        };
        let path = base.join(path);
        let content =
            std::fs::read_to_string(&path).map_err(|e| format!("cannot read the secret in {}: {e}", path.display()))?;
        let content = content
            .strip_suffix('\n')
            .map_or(content.as_str(), |c| c.strip_suffix('\r').unwrap_or(c));
        if content.is_empty() {
            return Err(format!("the secret in {} is empty", path.display()));
        }
        Ok(Secret(content.to_owned()))
    }

    /// The secret itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// `scheme://user:password@host` with the password masked; everything else as it is.
pub fn mask_url(text: &str) -> String {
    if let Some((before, after)) = text.split_once("password=").filter(|_| text.contains("://")) {
        let end = after.find('&').unwrap_or(after.len());
        return format!("{}password={MASK}{}", mask_url(before), &after[end..]);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A password may itself contain `/` or `@` unescaped: mask up to the last `@` then.
    let Some(at) = authority.rfind('@').or_else(|| rest.rfind('@')) else {
        return text.to_owned();
    };
    let user = rest[..at].split(':').next().unwrap_or_default();
    match rest[..at].contains(':') {
        true => format!("{scheme}://{user}:{MASK}{}", &rest[at..]),
        false => format!("{scheme}://{MASK}{}", &rest[at..]),
    }
}

/// Whether a URL as it is written in the pipeline file holds a password in so many words.
pub(super) fn is_spelt_out(written: &str) -> bool {
    let Some((_, rest)) = written.split_once("://") else {
        return false;
    };
    // What comes from outside is not written here, whatever is around it.
    let user_info = rest.rfind('@').map_or("", |at| &rest[..at]);
    let password = user_info.split_once(':').map_or("", |(_, password)| password);
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let in_query = query.split('&').find_map(|pair| pair.strip_prefix("password="));
    [password, in_query.unwrap_or("")]
        .iter()
        .any(|p| !p.is_empty() && !p.contains("${"))
        && !written.starts_with("${")
}

/// Why a reference cannot be resolved: message and hint.
pub(super) type ReferenceError = (String, Option<String>);

/// Replaces `${NAME}` and `${NAME:-default}`; `$${` stands for a literal `${`.
pub(super) fn substitute(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, ReferenceError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            return Err((
                "environment reference without its closing \"}\"".to_owned(),
                Some("write ${NAME} or ${NAME:-default}; $${ stands for a literal ${".to_owned()),
            ));
        };
        out.push_str(&variable(&rest[at + 2..at + end], env)?);
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn variable(reference: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, ReferenceError> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let valid = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !valid {
        return Err((
            format!(
                "{} is not the name of an environment variable",
                super::error::quoted(name)
            ),
            Some("write ${NAME} or ${NAME:-default}; $${ stands for a literal ${".to_owned()),
        ));
    }
    match (env(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err((
            format!("environment variable {name} is not set"),
            Some(format!("set it, or give a default: ${{{name}:-value}}")),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sub(text: &str) -> Result<String, ReferenceError> {
        substitute(text, &|name| match name {
            "A" => Some("one".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn variables_defaults_and_escapes() {
        assert_eq!(sub("x${A}y${A}").as_deref(), Ok("xoney".replace('y', "yone").as_str()));
        assert_eq!(sub("${B:-two} ${EMPTY:-three}|${EMPTY}").as_deref(), Ok("two three|"));
        assert_eq!(sub("$${A} $A $").as_deref(), Ok("${A} $A $"));
        assert!(sub("${B}").is_err_and(|e| e.0.contains("variable B is not set")));
        assert!(sub("${A").is_err() && sub("${}").is_err() && sub("${1A}").is_err());
    }

    #[test]
    fn passwords_are_masked() {
        assert_eq!(mask_url("postgres://me:pa/ss@host/db"), "postgres://me:***@host/db");
        assert_eq!(mask_url("https://token@host"), "https://***@host");
        assert_eq!(mask_url("https://host/a@b"), "https://***@b");
        assert_eq!(mask_url("file:./state"), "file:./state");
        assert_eq!(
            mask_url("postgres://me@host/db?sslmode=require&password=hush&x=1"),
            "postgres://***@host/db?sslmode=require&password=***&x=1"
        );
        for (written, spelt_out) in [
            ("postgres://me:pw@host/db", true),
            ("postgres://me:${PW}@host/db", false),
            ("postgres://me@host/db?password=pw", true),
            ("postgres://me@host/db", false),
            ("${URL}", false),
            ("file:url", false),
        ] {
            assert_eq!(is_spelt_out(written), spelt_out, "{written}");
        }
        assert_eq!(format!("{0:?} {0}", Secret::new("pw")), "*** ***");
    }

    #[test]
    fn secrets_come_from_files() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("pw"), "hush\r\n").expect("written");
        std::fs::write(folder.path().join("none"), "\n").expect("written");
        assert_eq!(
            Secret::read("file:pw", folder.path())
                .map(|s| s.expose().to_owned())
                .as_deref(),
            Ok("hush")
        );
        assert_eq!(
            Secret::read("plain", folder.path())
                .map(|s| s.expose().to_owned())
                .as_deref(),
            Ok("plain")
        );
        assert!(Secret::read("file:gone", folder.path()).is_err_and(|e| e.contains("gone")));
        assert!(Secret::read("file:none", folder.path()).is_err_and(|e| e.contains("is empty")));
    }
}
