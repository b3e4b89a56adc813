//! The file of identities: who may call, in which role, and how each authenticates.
//!
//! ```toml
//! [[identities]]
//! name = "importer"                          # unique; named in the journal, the log and errors
//! roles = ["publisher"]                      # subscriber, publisher, operator
//! feeds = ["usgs"]                           # for a publisher: the feeds it may publish for
//! minerals = ["gallium", "rare_earths"]      # default: any; a group includes all its parts
//! others = false                             # true: it may also change what other feeds published
//! token_sha256 = ["9f86d0…"]                 # of bearer tokens; two while one replaces the other
//! certificates = ["spiffe://mine/importer"]  # URI or DNS names of client certificates
//! claims = ["lodewatch-importer"]            # values of the roles claim of JSON web tokens
//! ```

use super::identity::{Identity, PublishGrant, Revocation};
use super::methods::Role;
use super::token::TokenHash;
use crate::domain::slug::ALLOWED;
use crate::domain::{Mineral, Slug};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use subtle::{Choice, ConditionallySelectable};

/// Identities of one file: a token is compared with those of all.
const IDENTITIES_MAX: usize = 1000;

/// All identities of a file, by what they authenticate with. Holds hashes, no secrets.
#[derive(Debug, Default)]
pub struct Identities {
    all: Vec<Arc<Identity>>,
    /// The entry of each identity, in the same order.
    entries: Vec<IdentityEntry>,
    /// Each with the index of its identity, as in the maps below.
    tokens: Vec<(TokenHash, u32)>,
    certificates: BTreeMap<String, usize>,
    claims: BTreeMap<String, usize>,
}

/// Every fault of a file of identities, at least one; prints one per line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct IdentityFaults(Vec<String>);

impl fmt::Display for IdentityFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityFile {
    #[serde(default)]
    identities: Vec<IdentityEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityEntry {
    name: String,
    roles: Vec<String>,
    #[serde(default)]
    feeds: Vec<String>,
    minerals: Option<Vec<String>>,
    #[serde(default)]
    others: bool,
    #[serde(default)]
    token_sha256: Vec<String>,
    #[serde(default)]
    certificates: Vec<String>,
    #[serde(default)]
    claims: Vec<String>,
}

impl IdentityEntry {
    /// Whether every caller that the earlier entry allowed is still allowed, to do the same.
    fn still_allows(&self, before: &Self) -> bool {
        let holds =
            |these: &[String], those: &[String]| those.iter().all(|one| these.contains(one));
        self.roles == before.roles
            && self.feeds == before.feeds
            && self.minerals == before.minerals
            && self.others == before.others
            && holds(&self.token_sha256, &before.token_sha256)
            && holds(&self.certificates, &before.certificates)
            && holds(&self.claims, &before.claims)
    }
}

impl Identities {
    /// # Errors
    ///
    /// Every fault at once; where the text is not TOML, the first fault with its line.
    pub fn parse(text: &str) -> Result<Self, IdentityFaults> {
        let file: IdentityFile = toml::from_str(text)
            .map_err(|error| IdentityFaults(vec![syntax_fault(text, &error)]))?;
        let mut known = Self::default();
        let mut faults_of_file = Vec::new();
        if file.identities.len() > IDENTITIES_MAX {
            let count = file.identities.len();
            faults_of_file.push(format!(
                "identities: {count} identities; at most {IDENTITIES_MAX} are allowed"
            ));
        }
        for (at, entry) in file.identities.iter().enumerate() {
            let mut faults = EntryFaults { at, faults: &mut faults_of_file };
            known.add(entry, &mut faults);
        }
        known.entries = file.identities;
        if faults_of_file.is_empty() { Ok(known) } else { Err(IdentityFaults(faults_of_file)) }
    }

    fn add(&mut self, entry: &IdentityEntry, faults: &mut EntryFaults<'_>) {
        let name = faults.require("name", ALLOWED, Slug::parse(&entry.name));
        let place = self.all.len();
        if self.all.iter().any(|one| *one.name == *entry.name) {
            faults.add("name", &format!("{:?} is used twice; names must be unique", entry.name));
        }
        let grant = grant(entry, faults);
        for (at, text) in entry.token_sha256.iter().enumerate() {
            let field = format!("token_sha256[{at}]");
            let hash = faults.require(&field, "64 hexadecimal digits", TokenHash::parse(text));
            let Some(hash) = hash else { continue };
            if self.tokens.iter().any(|(one, _)| *one == hash) {
                faults.add(&field, "is used twice; every token has one identity");
            }
            self.tokens.push((hash, u32::try_from(place).unwrap_or(u32::MAX)));
        }
        let (certificates, claims) = (&mut self.certificates, &mut self.claims);
        for (map, field, texts) in
            [(certificates, "certificates", &entry.certificates), (claims, "claims", &entry.claims)]
        {
            for (at, text) in texts.iter().enumerate() {
                if text.is_empty() {
                    faults.add(&format!("{field}[{at}]"), "must not be empty");
                } else if map.insert(text.clone(), place).is_some() {
                    faults.add(&format!("{field}[{at}]"), &format!("{text:?} is used twice"));
                }
            }
        }
        if entry.token_sha256.is_empty() && entry.certificates.is_empty() && entry.claims.is_empty()
        {
            let missing = "must be set, or certificates, or claims: without one of them nothing authenticates";
            faults.add("token_sha256", missing);
        }
        let roles = roles(entry, faults);
        let name = name.map_or_else(|| Arc::from(""), |name| Arc::from(name.as_str()));
        self.all.push(Arc::new(Identity {
            name,
            roles,
            grant,
            is_authenticated: true,
            revocation: Revocation::default(),
        }));
    }

    /// Replaces the identities of an earlier file. Those that may do the same as before keep their
    /// revocation; returns that of all others, to be revoked once these are in force.
    pub fn replace(&mut self, before: &Self) -> Vec<Revocation> {
        let mut revoked = Vec::new();
        for (identity, entry) in before.all.iter().zip(&before.entries) {
            let same = |one: &IdentityEntry| one.name == entry.name && one.still_allows(entry);
            let same = self.entries.iter().position(same);
            match same.and_then(|at| self.all.get_mut(at)) {
                Some(kept) => Arc::make_mut(kept).revocation = identity.revocation.clone(),
                None => revoked.push(identity.revocation.clone()),
            }
        }
        revoked
    }

    /// The identity of a token. Takes the same time for every token, valid or not.
    pub fn by_token(&self, token: &str) -> Option<Arc<Identity>> {
        let sent = TokenHash::of(token);
        let mut found = u32::MAX;
        for (hash, place) in &self.tokens {
            let is: Choice = sent.ct_eq(hash);
            found.conditional_assign(place, is);
        }
        self.all.get(usize::try_from(found).ok()?).cloned()
    }

    /// The identity of a client certificate with these names; the first name that is known decides.
    pub fn by_certificate(&self, names: &[String]) -> Option<Arc<Identity>> {
        let place = names.iter().find_map(|name| self.certificates.get(name))?;
        self.all.get(*place).cloned()
    }

    /// The identity of a JSON web token with these claims: the first entry of the file that lists
    /// one. Its name is that of the entry and the subject.
    pub fn by_claims(&self, subject: &str, claims: &[String]) -> Option<Arc<Identity>> {
        let place = claims.iter().filter_map(|claim| self.claims.get(claim)).min()?;
        let entry = self.all.get(*place)?;
        let name = Arc::from(format!("{}/{subject}", entry.name));
        Some(Arc::new(Identity { name, ..(**entry).clone() }))
    }
}

/// Without the text of the line, which may hold a token that was written there by mistake.
fn syntax_fault(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let line = text.get(..start).unwrap_or_default().matches('\n').count().saturating_add(1);
    format!("line {line}: {}", error.message())
}

/// Collects the faults of one entry.
struct EntryFaults<'a> {
    at: usize,
    faults: &'a mut Vec<String>,
}

impl EntryFaults<'_> {
    fn add(&mut self, field: &str, fault: &str) {
        self.faults.push(format!("identities[{}].{field}: {fault}", self.at));
    }

    fn require<T>(&mut self, field: &str, allowed: &str, read: Option<T>) -> Option<T> {
        if read.is_none() {
            self.add(field, &format!("must be {allowed}"));
        }
        read
    }
}

fn roles(entry: &IdentityEntry, faults: &mut EntryFaults<'_>) -> Vec<Role> {
    if entry.roles.is_empty() {
        faults.add("roles", "must list at least one of subscriber, publisher, operator");
    }
    let mut roles = Vec::new();
    for (at, text) in entry.roles.iter().enumerate() {
        let allowed = "subscriber, publisher or operator";
        roles.extend(faults.require(&format!("roles[{at}]"), allowed, Role::parse(text)));
    }
    let publishes = roles.contains(&Role::Publisher);
    if publishes && entry.feeds.is_empty() {
        faults.add("feeds", "must list at least one feed: a publisher may publish for these only");
    }
    if !publishes && (!entry.feeds.is_empty() || entry.minerals.is_some() || entry.others) {
        faults.add("feeds", "must not be set, nor minerals or others, without the role publisher");
    }
    roles
}

fn grant(entry: &IdentityEntry, faults: &mut EntryFaults<'_>) -> PublishGrant {
    let mut feeds = BTreeSet::new();
    for (at, text) in entry.feeds.iter().enumerate() {
        feeds.extend(faults.require(&format!("feeds[{at}]"), ALLOWED, Slug::parse(text)));
    }
    let minerals = entry.minerals.as_ref().map(|texts| {
        let mut minerals = BTreeSet::new();
        for (at, text) in texts.iter().enumerate() {
            let allowed = "a mineral or group of the catalogue";
            let group = faults.require(&format!("minerals[{at}]"), allowed, Mineral::parse(text));
            let Some(group) = group else { continue };
            minerals.extend(Mineral::all().filter(|mineral| mineral.is_within(group)));
        }
        minerals
    });
    PublishGrant { feeds, minerals, others: entry.others }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_found_by_its_credentials_and_by_nothing_else() {
        let (token, other) = (TokenHash::of("secret"), TokenHash::of("new secret"));
        let text = format!(
            "[[identities]]\nname = \"desk\"\nroles = [\"operator\"]\ntoken_sha256 = [\"{token}\", \"{other}\"]\n\
             [[identities]]\nname = \"importer\"\nroles = [\"publisher\"]\nfeeds = [\"usgs\"]\nminerals = [\"REE\"]\n\
             certificates = [\"spiffe://mine/importer\"]\nclaims = [\"import\"]\n"
        );
        let known = Identities::parse(&text).unwrap();
        let name = |found: Option<Arc<Identity>>| found.map(|one| one.name.to_string());
        for token in ["secret", "new secret"] {
            assert_eq!(name(known.by_token(token)).as_deref(), Some("desk"));
        }
        assert_eq!(name(known.by_token("secre")), None);
        assert_eq!(name(known.by_token("")), None);
        let certificate = |name: &str| known.by_certificate(&["x".into(), name.into()]);
        assert_eq!(name(certificate("spiffe://mine/importer")).as_deref(), Some("importer"));
        assert_eq!(name(certificate("spiffe://mine/importer/x")), None);
        let by_claims = known.by_claims("alice", &["other".into(), "import".into()]).unwrap();
        assert_eq!(&*by_claims.name, "importer/alice");
        assert_eq!(known.by_claims("alice", &["other".into()]), None);
        let minerals = by_claims.grant.minerals.as_ref().unwrap();
        assert!(minerals.contains(&Mineral::parse("rare_earths_magnet").unwrap()));
        assert!(!minerals.contains(&Mineral::parse("gallium").unwrap()));
    }

    #[test]
    fn an_identity_that_lost_a_role_or_a_credential_is_revoked() {
        let (first, second) = (TokenHash::of("first"), TokenHash::of("second"));
        let file = |roles: &str, tokens: &str| {
            let entry = format!(
                "[[identities]]\nname = \"desk\"\nroles = [{roles}]\ntoken_sha256 = [{tokens}]\n"
            );
            Identities::parse(&entry).unwrap()
        };
        let (one, two) = (format!("\"{first}\""), format!("\"{second}\""));
        let both = format!("{one}, {two}");
        let subscriber = "\"subscriber\"";
        let ended = |mut now: Identities, before: &Identities| {
            let ended = now.replace(before).len();
            let kept = now.all.iter().zip(&before.all);
            let kept = kept.filter(|(now, before)| {
                before.revocation.revoke();
                now.revocation.is_revoked()
            });
            (ended, kept.count())
        };
        let kept = |roles, tokens: &str| ended(file(roles, tokens), &file(subscriber, &one));
        assert_eq!(kept(subscriber, &one), (0, 1));
        assert_eq!(kept(subscriber, &both), (0, 1));
        assert_eq!(kept(subscriber, &two), (1, 0));
        assert_eq!(kept("\"operator\"", &one), (1, 0));
        assert_eq!(ended(Identities::default(), &file(subscriber, &one)), (1, 0));
    }

    #[test]
    fn every_fault_of_a_file_is_named_at_once() {
        let text = "[[identities]]\nname = \"a b\"\nroles = []\ntoken_sha256 = [\"12\"]\n\
            [[identities]]\nname = \"x\"\nroles = [\"publisher\", \"root\"]\nminerals = [\"unobtainium\"]\n\
            [[identities]]\nname = \"x\"\nroles = [\"subscriber\"]\nfeeds = [\"f\"]\ncertificates = [\"n\", \"n\", \"\"]\n";
        insta::assert_snapshot!(Identities::parse(text).unwrap_err().to_string());
        let unknown = "[[identities]]\nname = \"a\"\nroles = [\"operator\"]\ntokens = [\"x\"]";
        assert!(Identities::parse(unknown).unwrap_err().to_string().contains("tokens"));
    }
}
