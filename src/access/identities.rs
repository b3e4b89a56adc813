//! The file of identities: who is known, and how each proves who it is.
//!
//! ```toml
//! [[identities]]
//! name = "importer"                          # unique; in the journal, the log and errors
//! roles = ["publisher"]                      # subscriber, publisher, operator
//! feeds = ["usgs"]                           # for a publisher: the feeds it may publish for
//! minerals = ["gallium", "rare_earths"]      # left out: any; a group holds all its parts
//! others = false                             # true: it may also change what other feeds have published
//! token_sha256 = ["9f86d0…"]                 # of tokens; two while one replaces the other
//! certificates = ["spiffe://mine/importer"]  # URI or DNS names of client certificates
//! claims = ["lodewatch-importer"]            # values of the roles claim of JSON web tokens
//! ```

use super::identity::{Admission, Grant, Identity};
use super::methods::Role;
use super::token::Hash;
use crate::domain::slug::ALLOWED;
use crate::domain::{Mineral, Slug};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use subtle::{Choice, ConditionallySelectable};

/// The most identities of a file: a token is compared with every one.
const IDENTITIES_MAX: usize = 1000;

/// Everybody who is known. Holds hashes, no secrets.
#[derive(Debug, Default)]
pub struct Identities {
    all: Vec<Arc<Identity>>,
    /// What the file says of each.
    entries: Vec<Entry>,
    /// Each with the place of its identity.
    tokens: Vec<(Hash, u32)>,
    certificates: BTreeMap<String, usize>,
    claims: BTreeMap<String, usize>,
}

/// Everything that is wrong with a file of identities, at least one thing; prints one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    identities: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
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

impl Entry {
    /// Whether everybody who was let in by another entry would be let in by this, for the same.
    fn keeps(&self, before: &Self) -> bool {
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
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, at once; where it is no TOML, the first fault with its line.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let file: File =
            toml::from_str(text).map_err(|error| Problems(vec![no_toml(text, &error)]))?;
        let mut known = Self::default();
        let mut problems = Vec::new();
        if file.identities.len() > IDENTITIES_MAX {
            let count = file.identities.len();
            problems.push(format!("identities: {count}; at most {IDENTITIES_MAX} are allowed"));
        }
        for (at, entry) in file.identities.iter().enumerate() {
            let mut faults = Faults { at, problems: &mut problems };
            known.add(entry, &mut faults);
        }
        known.entries = file.identities;
        if problems.is_empty() { Ok(known) } else { Err(Problems(problems)) }
    }

    fn add(&mut self, entry: &Entry, faults: &mut Faults<'_>) {
        let name = faults.take("name", ALLOWED, Slug::parse(&entry.name));
        let place = self.all.len();
        if self.all.iter().any(|one| *one.name == *entry.name) {
            faults.add("name", &format!("{:?} stands here twice", entry.name));
        }
        let grant = grant(entry, faults);
        for (at, text) in entry.token_sha256.iter().enumerate() {
            let field = format!("token_sha256[{at}]");
            let hash = faults.take(&field, "64 hexadecimal digits", Hash::parse(text));
            let Some(hash) = hash else { continue };
            if self.tokens.iter().any(|(one, _)| *one == hash) {
                faults.add(&field, "stands here twice");
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
                    faults.add(&format!("{field}[{at}]"), &format!("{text:?} stands here twice"));
                }
            }
        }
        if entry.token_sha256.is_empty() && entry.certificates.is_empty() && entry.claims.is_empty()
        {
            faults.add("token_sha256", "or certificates or claims must say how it is known");
        }
        let roles = roles(entry, faults);
        let name = name.map_or_else(|| Arc::from(""), |name| Arc::from(name.as_str()));
        self.all.push(Arc::new(Identity {
            name,
            roles,
            grant,
            proved: true,
            admission: Admission::default(),
        }));
    }

    /// Takes the place of others: who is in both stays in. Gives the admission of those who do not, which ends once these are in
    /// force.
    pub fn replace(&mut self, before: &Self) -> Vec<Admission> {
        let mut ended = Vec::new();
        for (identity, entry) in before.all.iter().zip(&before.entries) {
            let same = |one: &Entry| one.name == entry.name && one.keeps(entry);
            let same = self.entries.iter().position(same);
            match same.and_then(|at| self.all.get_mut(at)) {
                Some(kept) => Arc::make_mut(kept).admission = identity.admission.clone(),
                None => ended.push(identity.admission.clone()),
            }
        }
        ended
    }

    /// Whose token this is. Takes as long whoever it is, and nobody's as well.
    pub fn by_token(&self, token: &str) -> Option<Arc<Identity>> {
        let sent = Hash::of(token);
        let mut found = u32::MAX;
        for (hash, place) in &self.tokens {
            let is: Choice = sent.is(hash);
            found.conditional_assign(place, is);
        }
        self.all.get(usize::try_from(found).ok()?).cloned()
    }

    /// Whose certificate has one of these names; of several, that of the first name.
    pub fn by_certificate(&self, names: &[String]) -> Option<Arc<Identity>> {
        let place = names.iter().find_map(|name| self.certificates.get(name))?;
        self.all.get(*place).cloned()
    }

    /// The entry that has one of these claims, the first of the file; its name is that of the entry and the subject.
    pub fn by_claims(&self, subject: &str, claims: &[String]) -> Option<Arc<Identity>> {
        let place = claims.iter().filter_map(|claim| self.claims.get(claim)).min()?;
        let entry = self.all.get(*place)?;
        let name = Arc::from(format!("{}/{subject}", entry.name));
        Some(Arc::new(Identity { name, ..(**entry).clone() }))
    }
}

/// Without the line itself, which may hold a token that was written there by mistake.
fn no_toml(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let line = text.get(..start).unwrap_or_default().matches('\n').count().saturating_add(1);
    format!("line {line}: {}", error.message())
}

/// Notes what is wrong with one entry.
struct Faults<'a> {
    at: usize,
    problems: &'a mut Vec<String>,
}

impl Faults<'_> {
    fn add(&mut self, field: &str, fault: &str) {
        self.problems.push(format!("identities[{}].{field}: {fault}", self.at));
    }

    fn take<T>(&mut self, field: &str, allowed: &str, read: Option<T>) -> Option<T> {
        if read.is_none() {
            self.add(field, &format!("must be {allowed}"));
        }
        read
    }
}

fn roles(entry: &Entry, faults: &mut Faults<'_>) -> Vec<Role> {
    if entry.roles.is_empty() {
        faults.add("roles", "must have at least one of subscriber, publisher, operator");
    }
    let mut roles = Vec::new();
    for (at, text) in entry.roles.iter().enumerate() {
        let allowed = "subscriber, publisher or operator";
        roles.extend(faults.take(&format!("roles[{at}]"), allowed, Role::parse(text)));
    }
    let publishes = roles.contains(&Role::Publisher);
    if publishes && entry.feeds.is_empty() {
        faults.add("feeds", "must name the feeds that a publisher may publish for");
    }
    if !publishes && (!entry.feeds.is_empty() || entry.minerals.is_some() || entry.others) {
        faults.add("feeds", "and minerals and others are for publishers only");
    }
    roles
}

fn grant(entry: &Entry, faults: &mut Faults<'_>) -> Grant {
    let mut feeds = BTreeSet::new();
    for (at, text) in entry.feeds.iter().enumerate() {
        feeds.extend(faults.take(&format!("feeds[{at}]"), ALLOWED, Slug::parse(text)));
    }
    let minerals = entry.minerals.as_ref().map(|texts| {
        let mut minerals = BTreeSet::new();
        for (at, text) in texts.iter().enumerate() {
            let allowed = "a mineral or group of the catalogue";
            let group = faults.take(&format!("minerals[{at}]"), allowed, Mineral::parse(text));
            let Some(group) = group else { continue };
            minerals.extend(Mineral::all().filter(|mineral| mineral.is_within(group)));
        }
        minerals
    });
    Grant { feeds, minerals, others: entry.others }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_found_by_what_it_shows_and_by_nothing_else() {
        let (token, other) = (Hash::of("secret"), Hash::of("new secret"));
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
    fn who_may_less_or_shows_what_is_no_longer_taken_must_prove_it_anew() {
        let (first, second) = (Hash::of("first"), Hash::of("second"));
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
                before.admission.end();
                now.admission.has_ended()
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
